"""How a run is launched: films a step, devices, one command a folder, a launcher that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from test_finetune import read_json

import finetune
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError
from movie_genres.locks import locked
from movie_genres.model.probe import fit_probe
from movie_genres.training import arguments, run_folder
from movie_genres.training.arguments import films_per_step, parse_finetune_args
from movie_genres.training.launch import check_sharding, divide_step
from movie_genres.training.probe import join_heads
from movie_genres.training.run_folder import RunFolder

Arguments = Callable[..., list[str]]

RECIPES = sorted((ROOT / "configs" / "recipes").glob("*.yaml"))
STOCK = ("per_device_train_batch_size", "gradient_accumulation_steps")


@pytest.mark.parametrize(
    ("given", "processes", "expected"),
    [
        ({}, 1, (8, 8, 1)),
        ({}, 8, (8, 1, 1)),  # not 64
        ({"films_per_step": 32}, 4, (32, 8, 1)),
        ({"films_per_step": 32, STOCK[0]: 4}, 2, (32, 4, 4)),
        ({"films_per_step": 32, STOCK[1]: 4}, 2, (32, 4, 4)),
        ({"films_per_step": 32, STOCK[0]: 4, STOCK[1]: 4}, 2, (32, 4, 4)),
        ({STOCK[0]: 16}, 1, (16, 16, 1)),
        ({STOCK[0]: 16, STOCK[1]: 2}, 4, (128, 16, 2)),
        ({STOCK[1]: 2}, 1, (16, 8, 2)),
    ],
)
def test_a_step_is_divided_over_processes_and_accumulation(
    given: dict[str, int], processes: int, expected: tuple[int, int, int]
) -> None:
    assert tuple(divide_step(given, processes, default=8).values()) == expected
    films, batch, accumulation = expected
    assert films == batch * accumulation * processes


@pytest.mark.parametrize(
    ("given", "processes", "message"),
    [
        ({}, 3, r"--films-per-step 8 cannot be divided into 3 process\(es\); .* is 9"),
        ({}, 16, "is 16"),
        ({"films_per_step": 8, STOCK[0]: 16}, 1, r"x 16 films each; the nearest .* is 16"),
        ({"films_per_step": 30, STOCK[0]: 4}, 2, "is 32"),
        ({"films_per_step": 32, STOCK[0]: 4, STOCK[1]: 2}, 2,
         "2 process.* x 4 films each x 2 accumulation steps; the nearest that can is 16"),
        ({"films_per_step": 0}, 1, "--films-per-step 0 is less than 1"),
    ],
)  # fmt: skip
def test_a_step_that_cannot_be_divided_is_refused_with_the_nearest(
    given: dict[str, int], processes: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        divide_step(given, processes, default=8)


def test_the_first_line_and_the_record_say_how_many_films_a_step_has(
    tiny_arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("films_per_step: 24\nnum_train_epochs: 1\n")
    flags = tiny_arguments(tmp_path / "run", "--per-device-train-batch-size", "8")
    assert finetune.main([str(recipe), *flags, "--num-train-epochs", "1"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "24 films a step (3 x 8 in each process)" in first
    record = read_json(tmp_path / "run" / "args.json")
    assert record["project"]["films_per_step"] == 24
    assert record["training"]["gradient_accumulation_steps"] == 3
    assert "batch: 24 films" in (tmp_path / "run" / "README.md").read_text()


def test_processes_of_a_launcher_get_a_share_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "started_processes", lambda: 4)
    monkeypatch.setattr(arguments, "check_world", lambda args, processes: None)
    project, args = parse_finetune_args([])
    assert (project.films_per_step, args.per_device_train_batch_size) == (8, 2)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_give_films_a_step_and_no_batch_of_a_device(recipe: Path) -> None:
    project, args = parse_finetune_args([str(recipe)])
    assert project.films_per_step == films_per_step(args)
    assert not {*STOCK} & {*yaml.safe_load(recipe.read_text())}


def test_processes_that_do_not_see_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "started_processes", lambda: 2)
    with pytest.raises(InputError, match="started 2 processes, which do not see each other"):
        parse_finetune_args([])


def test_several_gpus_for_one_process_are_refused_with_the_line_that_uses_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(InputError, match=r"ddp.yaml --num_processes 4 finetune.py"):
        parse_finetune_args([])
    assert films_per_step(parse_finetune_args(["--use_cpu"])[1]) == 8
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    parse_finetune_args([])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    parse_finetune_args([])


def test_zero_3_is_refused_by_stage_or_by_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    check_sharding()  # of an environment in which DeepSpeed is not used
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(InputError, match="ZeRO-3 of DeepSpeed leaves no process"):
        parse_finetune_args(["--soup", "1"])
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    check_sharding()
    config = tmp_path / "zero.json"
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(config))
    with pytest.raises(InputError, match="zero.json is no DeepSpeed configuration"):
        check_sharding()
    config.write_text('{"zero_optimization": {"stage": 3}}')
    with pytest.raises(InputError, match="ZeRO-3"):
        check_sharding()


def test_a_second_command_in_the_folder_is_refused_and_touches_nothing(
    tiny_arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "lock").write_text("of a process that was killed before it wrote more")
    with locked(run / "lock", "busy"):
        for more in ([], ["--overwrite"]):
            assert exit_code(lambda more=more: finetune.main(tiny_arguments(run, *more))) == 2
        assert {path.name for path in run.iterdir()} == {"lock"}
    line, _ = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: another command is training in {run}; ")
    assert finetune.main(tiny_arguments(run, "--num-train-epochs", "1")) == 0
    assert not (run / "lock").exists()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from movie_genres.locks import locked
with locked(Path(sys.argv[1]), "busy"):
    print("locked", flush=True)
    time.sleep(60)
"""
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(InputError, match="busy"), locked(path, "busy"):
        pass
    holder.kill()
    holder.wait()
    assert path.exists()
    with locked(path, "busy"):
        pass
    assert not path.exists()


@pytest.mark.parametrize("launcher", ["accelerate", "shell"])
def test_a_run_stops_when_its_launcher_is_gone_and_outlives_a_shell(
    tmp_path: Path, launcher: str
) -> None:
    (tmp_path / launcher).write_text(
        "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], sys.argv[2]])"
    )
    child = """
        import signal, sys, time
        from pathlib import Path
        from movie_genres.signals import stop_with_launcher
        out = Path(sys.argv[1])
        def stop(number, frame):
            out.write_text(signal.Signals(number).name)
            sys.exit()
        signal.signal(signal.SIGTERM, stop)
        stop_with_launcher(0.05)
        print("begun", flush=True)
        time.sleep(4)
        out.write_text("lived on")
    """
    out = tmp_path / "out"
    started = subprocess.Popen(
        [sys.executable, str(tmp_path / launcher), textwrap.dedent(child), str(out)],
        stdout=subprocess.PIPE, cwd=ROOT, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert started.stdout is not None
    assert started.stdout.readline() == "begun\n"
    started.send_signal(signal.SIGTERM)
    started.wait()
    deadline = time.monotonic() + 30
    while not out.exists() or not out.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert out.read_text() == {"accelerate": "SIGTERM", "shell": "lived on"}[launcher]


def test_a_folder_that_the_processes_do_not_share_is_refused_in_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two processes: the first writes a word, the second looks for it in its own folder."""
    sent: list[Any] = []

    def broadcast(objects: list[Any]) -> list[Any]:
        sent.append(objects)
        return sent[0]

    first, second = SimpleNamespace(is_main_process=True), SimpleNamespace(is_main_process=False)
    monkeypatch.setattr(run_folder, "broadcast_object_list", broadcast)
    monkeypatch.setattr(run_folder, "gather_object", lambda found: found)
    shared, own = RunFolder(tmp_path / "shared"), RunFolder(tmp_path / "own")
    with shared.held(first):  # type: ignore[arg-type]
        with shared.held(second, 0):  # type: ignore[arg-type]
            pass
        for other in (own, RunFolder(tmp_path / "run of another command")):
            with (
                pytest.raises(InputError, match="is not the same folder on all machines"),
                other.held(second, 0),  # type: ignore[arg-type]
            ):
                pass
            other.path.mkdir(exist_ok=True)
            (other.path / "lock").write_text("another word")
    sent.clear()
    monkeypatch.setattr(run_folder, "gather_object", lambda found: [*found, False])
    with (
        pytest.raises(InputError, match="is not the same folder on all machines"),
        shared.held(first),  # type: ignore[arg-type]
    ):
        pass


def test_the_probe_is_the_same_whoever_fits_which_genre() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)).astype(np.float32)
    y = (features @ rng.normal(size=(5, 4)) + rng.normal(size=(60, 4)) > 0).astype(float)
    weight = np.array([1.0, 2.0, 1.5, 1.0])
    whole = fit_probe(features, y, weight, inverse_penalty=0.3)
    shares = [
        (own, fit_probe(features, y[:, own], weight[own], inverse_penalty=0.3))
        for own in (np.array([0, 3]), np.array([1]), np.array([2]), np.array([], dtype=int))
    ]
    joined = join_heads(shares)
    assert np.array_equal(joined.weight, whole.weight)
    assert np.array_equal(joined.bias, whole.bias)


def test_a_launchers_one_thread_does_not_hold_for_scikit_learn() -> None:
    code = """
import numpy, scipy.linalg, threadpoolctl
from movie_genres.model.devices import use_all_cores
import torch, psutil
psutil.cpu_count = lambda logical: 3
import os
os.sched_getaffinity = lambda pid: range(3)
use_all_cores(1)
print(torch.get_num_threads(), *{
    pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"
})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "3 3\n"


def test_slurm_leaves_the_launcher_the_time_that_it_gives_the_run() -> None:
    script = (ROOT / "configs" / "slurm" / "finetune.sbatch").read_text()
    (given,) = (line for line in script.splitlines() if line.startswith("#SBATCH --signal=TERM@"))
    (waits,) = (line for line in script.splitlines() if "TORCH_ELASTIC_SHUTDOWN_TIMEOUT" in line)
    assert 200 < int(waits.split("=")[1]) < int(given.split("@")[1])
    launcher = pytest.importorskip("torch.distributed.launcher.api")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", waits.split("=")[1])
        config = launcher.LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=1)
    assert config.shutdown_timeout == int(waits.split("=")[1])
