"""Processes end with the command that started them, and what it began goes with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from movie_genres.preparation.workers import start_workers

ROOT = Path(__file__).parents[2]

# A preparation whose batches take two seconds, so that it can be stopped at work.
STUCK = """
import sys, time, movie_genres.preparation.cleaning as cleaning, prepare_dataset
from movie_genres.command_line import exit_code
def wait(batch): print("at work", flush=True); time.sleep(2)
cleaning._clean = wait
sys.exit(exit_code(lambda: prepare_dataset.main(sys.argv[1:])))
"""


def started(tmp_path: Path) -> subprocess.Popen[str]:
    rows = (f"{n},A man waits {n} days for a train,Drama" for n in range(2500))
    (tmp_path / "films.csv").write_text("\n".join(["id,overview,genres", *rows]) + "\n")
    arguments = ["--source", str(tmp_path / "films.csv"), "--output-dir", str(tmp_path / "out")]
    return subprocess.Popen(
        [sys.executable, "-c", STUCK, *arguments, "--num-proc", "2"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_a_preparation_that_is_stopped(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = started(tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("at work")
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    process.send_signal(number)
    wait_until(lambda: process.poll() is not None)
    wait_until(lambda: not any(psutil.pid_exists(worker.pid) for worker in workers))
    process.stdout.close()
    left = sorted(path.name for path in tmp_path.iterdir() if path.name != "films.csv")
    assert bool(left) == (number is signal.SIGKILL)


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_was_killed_is_one_line() -> None:
    with (
        pytest.raises(OSError, match="a process was killed, perhaps for lack of memory"),
        start_workers(2, int) as workers,
    ):
        workers.submit(kill_this_process).result()


def test_one_process_is_this_one() -> None:
    with start_workers(1, int) as workers:
        assert workers.submit(os.getpid).result() == os.getpid()
