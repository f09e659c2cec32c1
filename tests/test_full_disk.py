"""Disks without room: one line, earlier outputs intact, nothing half-written left behind.

A limit on the size of files stands for the full disk: both show themselves as OSError in Python,
and as errors of many kinds in the libraries that write.
"""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import made_up_films, write_csv
from test_finetune import read_json

import finetune
import prepare_dataset
from movie_genres.command_line import EXIT_FAILURE, exit_code
from movie_genres.files import written_whole

resource = pytest.importorskip("resource")  # not on Windows
REMEDY = "; make room on the disk and give the same command again\n"


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_preparation_leaves_the_earlier_folder_as_it_was(
    prepared_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared_folder, folder)
    source = write_csv(tmp_path / "films.csv", made_up_films(210))
    before = content(tmp_path)
    arguments = ["--source", str(source), "--output-dir", str(folder), "--min-genre-count", "5"]
    with files_of_at_most(3_000):
        code = exit_code(lambda: prepare_dataset.main([*arguments, "--num-proc", "1"]))
    assert code == EXIT_FAILURE
    assert (said := capsys.readouterr().err).startswith("error: ")
    assert said.endswith(REMEDY)
    assert said.count("\n") == 1
    assert content(tmp_path) == before


def fail_of_a_full_disk(arguments: list[str], size: int, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with files_of_at_most(size):
        assert exit_code(lambda: finetune.main(arguments)) == EXIT_FAILURE
    lines = [line for line in capsys.readouterr().err.splitlines() if "mtime" not in line]
    assert len(lines) == 1
    assert (lines[0] + "\n").endswith(REMEDY)
    return lines[0]


@pytest.mark.parametrize("size", [10_000, 60_000])  # less than the weights; than the optimizer
def test_a_checkpoint_without_room_is_removed_and_those_before_it_stay(
    tiny_arguments: Callable[..., list[str]],
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    size: int,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "metrics.json").unlink()
    for name in ("checkpoint-20", "weights-1"):
        shutil.rmtree(run / "checkpoints" / name)
    before = content(run / "checkpoints")
    said = fail_of_a_full_disk(tiny_arguments(run), size, capsys)
    assert f"{run / 'checkpoints' / 'checkpoint-20'} cannot be written" in said
    assert content(run / "checkpoints") == before


def test_a_final_save_without_room_leaves_the_earlier_model_and_can_be_repeated(
    tiny_arguments: Callable[..., list[str]],
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "metrics.json").unlink()
    before = content(run / "model")
    for size in (1_500, 10_000):  # less than args.json, or than the weights
        fail_of_a_full_disk(tiny_arguments(run), size, capsys)
        assert content(run / "model") == before
        assert not list(run.rglob("*.new"))
    assert finetune.main(tiny_arguments(run)) == 0
    ours, theirs = (read_json(folder / "metrics.json") for folder in (run, finished_run))
    assert ours["test"] == theirs["test"]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (Exception("No space left on device (os error 28)"), OSError),  # tokenizers
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos"), OSError),
        (ValueError("a defect"), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_what_was_begun_is_removed_and_a_defect_stays_one(
    tmp_path: Path, raised: BaseException, kind: type[BaseException]
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "half").touch()
    with pytest.raises(kind), written_whole(tmp_path / "new"):
        raise raised
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_named_with_the_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused() -> int:
        raise OSError(errno.EROFS, "Read-only file system", "/models/datasets")

    assert exit_code(refused) == EXIT_FAILURE
    said = capsys.readouterr().err
    assert "'/models/datasets'; name a folder that can be written" in said
    assert "HF_HOME" in said
