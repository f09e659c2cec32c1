"""The folder of a run: what it keeps, what it refuses to resume, what it prints meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_finetune import read_json
from test_robustness import flip, make_checkpoint

import finetune
from movie_genres import progress
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError
from movie_genres.files import write_json
from movie_genres.training.callbacks import ReadableProgress
from movie_genres.training.checkpoints import (
    MANIFEST,
    find_damage,
    find_restart,
    kept_folder,
    remove_older,
)

Arguments = Callable[..., list[str]]


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"a": '])
def test_a_manifest_that_lists_nothing_vouches_for_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    assert find_damage(tmp_path) == f"its {MANIFEST} cannot be read"


def test_what_is_kept_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    (tmp_path / "kept.new").mkdir()
    (tmp_path / "kept.new" / "of a killed process").touch()
    with kept_folder(folder) as new:
        (new / "a").write_text("1")
    assert {path.name for path in folder.iterdir()} == {"a", MANIFEST}
    with pytest.raises(KeyboardInterrupt), kept_folder(folder) as new:
        (new / "a").write_text("2")
        raise KeyboardInterrupt
    assert (folder / "a").read_text() == "1"
    assert find_damage(folder) is None
    assert list(tmp_path.iterdir()) == [folder]


def test_the_checkpoint_before_a_damaged_one_has_kept_its_best_one(tmp_path: Path) -> None:
    for step, best in ((5, 5), (10, 5), (15, 15), (20, 15)):
        newest = make_checkpoint(tmp_path, step, best)
        remove_older(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-15", "checkpoint-20"}
    flip(newest / "optimizer.pt")
    assert find_restart(tmp_path).checkpoint == tmp_path / "checkpoint-15"

    shutil.rmtree(newest)
    for step in (20, 25):
        make_checkpoint(tmp_path, step, {20: 15, 25: 25}[step])
        remove_older(tmp_path, 2)
    flip(tmp_path / "checkpoint-25" / "optimizer.pt")
    assert find_restart(tmp_path).checkpoint == tmp_path / "checkpoint-20"  # with 15 as the best


def test_a_checkpoint_whose_removal_was_cut_short_counts_as_none(tmp_path: Path) -> None:
    (make_checkpoint(tmp_path, 5, 5) / MANIFEST).unlink()
    make_checkpoint(tmp_path, 10, 10)
    remove_older(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]
    remove_older(tmp_path, None)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("processes",), 2, r"number of processes \(2 in that run, 1 now\)"),
        (("versions", "torch"), "1.0", r"version of torch \(1.0 in that run, .* installed\)"),
        (("encoder",), "0" * 64, "weights \\(the encoder's files have changed\\)"),
        (("dataset", "fingerprint"), "0" * 64, "data \\(the prepared dataset has changed\\)"),
    ],
)
def test_an_unfinished_run_of_other_circumstances_is_not_resumed(
    tiny_arguments: Arguments,
    finished_run: Path,
    tmp_path: Path,
    place: tuple[str, ...],
    value: Any,
    said: str,
) -> None:
    record = read_json(finished_run / "args.json")
    section = record
    for name in place[:-1]:
        section = section[name]
    section[place[-1]] = value
    write_json(tmp_path / "args.json", record)
    with pytest.raises(InputError, match=said):
        finetune.main(tiny_arguments(tmp_path))


def test_a_complete_run_is_shown_by_any_version_and_loses_activations_left_by_a_kill(
    tiny_arguments: Arguments,
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = read_json(finished_run / "args.json")
    record["versions"]["torch"], record["processes"] = "1.0", 8
    write_json(tmp_path / "args.json", record)
    (tmp_path / "checkpoints" / "cached_activations").mkdir(parents=True)
    shutil.copy(finished_run / "metrics.json", tmp_path)
    assert finetune.main(tiny_arguments(tmp_path)) == 0
    assert "is complete" in capsys.readouterr().out
    assert not (tmp_path / "checkpoints" / "cached_activations").exists()

    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics.json is damaged; remove it"):
        finetune.main(tiny_arguments(tmp_path))


def test_a_flag_that_is_newer_than_a_run_counts_as_its_default(
    tiny_arguments: Arguments,
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = read_json(finished_run / "args.json")
    for section, name in (("project", "never_empty"), ("training", "label_smoothing_factor")):
        del record[section][name]
    write_json(tmp_path / "args.json", record)
    shutil.copy(finished_run / "metrics.json", tmp_path)
    assert finetune.main(tiny_arguments(tmp_path)) == 0
    assert "is complete" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"--never-empty \(False in that run, True given\)"):
        finetune.main(tiny_arguments(tmp_path, "--never-empty"))


def test_the_remaining_time_counts_the_seed_runs_that_follow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shown = ReadableProgress(show_bar=False, seed_runs_left=2)
    state = SimpleNamespace(
        global_step=10, max_steps=100, epoch=0.1, is_world_process_zero=True, best_metric=None
    )
    logs = {"loss": 0.5, "learning_rate": 1e-3, "seconds": 70.0}
    shown.on_train_begin(None, state, None)
    for seconds, step in ((59.0, 15), (61.0, 20), (119.0, 25), (121.0, 30)):
        now, state.global_step = seconds, step
        shown.on_log(None, state, None, logs)
    lines = capsys.readouterr().out.splitlines()
    # 10 steps in 61 s and 20 in 121 s, of 300 in all.
    assert [line.rsplit(", ")[1] for line in lines] == [
        "28 min of training left", "27 min of training left"
    ]  # fmt: skip


def test_sigterm_ends_a_command_as_ctrl_c_does(capsys: pytest.CaptureFixture[str]) -> None:
    removed = []

    def stopped() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            return 0
        finally:
            removed.append("temporary files")

    before = signal.getsignal(signal.SIGTERM)
    assert exit_code(stopped) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "stopped by SIGTERM\n"
    assert removed
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_stopped_before_its_seed_runs_resumes_with_what_is_whole(
    tiny_arguments: Arguments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = tiny_arguments(
        tmp_path / "run", "--frozen-share", "0.5", "--soup", "2", "--num-train-epochs", "1"
    )  # fmt: skip

    def stop(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(finetune, "build_trainer", stop)
        assert exit_code(lambda: finetune.main(arguments)) == 128 + signal.SIGTERM
    assert "parts are kept: the same command resumes from there" in capsys.readouterr().out
    kept = tmp_path / "run" / "checkpoints"
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    activations = kept / "cached_activations" / "train"
    activations.write_bytes(activations.read_bytes()[:-1])
    flip(kept / "probe" / "head.safetensors")
    monkeypatch.setattr(finetune, "finish", lambda *_: None)
    assert finetune.main(arguments) == 0
    said = capsys.readouterr().out
    assert "probe cannot be used and is computed again: head.safetensors is damaged" in said
    for path, content in before.items():
        if path.parent.name == "cached_activations":
            assert path.read_bytes() == content
    # Killed after the weights of a seed run were kept, before its checkpoints were removed.
    shutil.rmtree(kept / "weights-2")
    (kept / "seed-run-1" / "checkpoint-1").mkdir(parents=True)
    assert finetune.main(arguments) == 0
    assert "seed run 1 of 2" not in capsys.readouterr().out
    assert {path.name for path in kept.iterdir()} == {
        "cached_activations", "probe", "weights-1", "weights-2"
    }  # fmt: skip
