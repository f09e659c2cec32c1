"""Runs that are stopped, damaged or go wrong: nothing is lost and no mixture comes out."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_finetune import read_json

import finetune
from metrics import GenreMetrics
from movie_genres.command_line import EXIT_FAILURE, exit_code
from movie_genres.errors import InputError
from movie_genres.files import write_json
from movie_genres.preparation.loading import load_prepared, notes_on_genres
from movie_genres.training.checkpoints import (
    MANIFEST,
    SAME_SIGNAL_SECONDS,
    SafeCheckpoints,
    find_damage,
    find_restart,
    write_manifest,
)
from movie_genres.training.run_folder import RunFolder

Arguments = Callable[..., list[str]]


def make_checkpoint(folder: Path, step: int, best: int) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "shards").mkdir(parents=True)
    (checkpoint / "shards" / "a.safetensors").write_bytes(bytes(range(100)))
    (checkpoint / "optimizer.pt").write_bytes(b"state" * 20)
    state = {"best_model_checkpoint": f"/elsewhere/checkpoint-{best}"}
    write_json(checkpoint / "trainer_state.json", state)
    write_manifest(checkpoint)
    return checkpoint


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda c: flip(c / "shards" / "a.safetensors"), "shards/a.safetensors is damaged"),
        (lambda c: (c / "optimizer.pt").write_bytes(b"state"), "optimizer.pt is damaged"),
        (lambda c: (c / "optimizer.pt").unlink(), "optimizer.pt is missing"),
        (lambda c: (c / MANIFEST).unlink(), "not written to its end"),
        (lambda c: (c / MANIFEST).write_text("{"), "cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_recognised_and_the_one_before_it_used(
    tmp_path: Path, harm: Callable[[Path], None], said: str
) -> None:
    earlier, later = make_checkpoint(tmp_path, 5, 5), make_checkpoint(tmp_path, 10, 10)
    assert find_restart(tmp_path).checkpoint == later
    harm(later)
    restart = find_restart(tmp_path)
    assert restart.checkpoint == earlier
    assert said in restart.damaged[later]


def test_a_checkpoint_whose_best_one_is_damaged_cannot_be_resumed(tmp_path: Path) -> None:
    best = make_checkpoint(tmp_path, 5, 5)
    make_checkpoint(tmp_path, 10, 5)
    assert find_damage(best) is None
    flip(best / "optimizer.pt")
    restart = find_restart(tmp_path)
    assert restart.checkpoint is None
    assert len(restart.damaged) == 2


def test_a_run_with_a_damaged_checkpoint_ends_as_if_nothing_had_happened(
    tiny_arguments: Arguments,
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "metrics.json").unlink()
    flip(run / "checkpoints" / "weights-1" / "weights.safetensors")
    flip(run / "checkpoints" / "probe" / "head.safetensors")
    last = max((run / "checkpoints").glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    flip(last / "model.safetensors")
    assert finetune.main(tiny_arguments(run)) == 0
    printed = capsys.readouterr().out
    assert f"{last.name} cannot be used and is removed: model.safetensors is damaged" in printed
    assert (
        "weights-1 cannot be used and is computed again: weights.safetensors is damaged" in printed
    )
    assert "probe cannot be used and is computed again: head.safetensors is damaged" in printed
    assert "resuming from" in printed
    ours, theirs = (read_json(f / "metrics.json") for f in (run, finished_run))
    assert ours["test"] == theirs["test"]
    assert ours["thresholds"] == theirs["thresholds"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_same_command_resumes_to_the_same_end(
    tiny_arguments: Arguments,
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_thisIsASecret")
    step = finetune.GenreTrainer.training_step

    def interrupted(self: finetune.GenreTrainer, *args: object, **kwargs: object) -> torch.Tensor:
        if self.state.global_step == 7:
            # Twice at once, as when a scheduler and the launcher both send it.
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
        return step(self, *args, **kwargs)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(finetune.GenreTrainer, "training_step", interrupted)
        assert finetune.main(tiny_arguments(tmp_path / "run")) == 128 + number
    assert signal.getsignal(number) is before
    printed = capsys.readouterr()
    assert "after step 8; the same command resumes from there" in printed.out
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert finetune.main(tiny_arguments(tmp_path / "run")) == 0
    again = capsys.readouterr()
    assert "resuming from" in again.out
    assert "thisIsASecret" not in printed.out + printed.err + again.out + again.err
    ours, theirs = (read_json(f / "metrics.json") for f in (tmp_path / "run", finished_run))
    assert ours["test"] == theirs["test"]
    for path in (tmp_path / "run").rglob("*"):
        assert not path.is_file() or b"thisIsASecret" not in path.read_bytes(), path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_later_second_signal_ends_the_process_at_once(number: signal.Signals) -> None:
    came: list[int] = []
    before = signal.signal(number, lambda number, _: came.append(number))
    try:
        with SafeCheckpoints(SimpleNamespace()) as checkpoints:
            os.kill(os.getpid(), number)
            assert came == []
            checkpoints.noted_at -= SAME_SIGNAL_SECONDS + 1
            os.kill(os.getpid(), number)
            assert came == [number]
    finally:
        signal.signal(number, before)


def test_a_loss_that_is_not_finite_stops_the_run_with_its_step_and_causes(
    tiny_arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = tiny_arguments(tmp_path / "run", "--learning-rate", "1e30", "--warmup-steps", "0")
    assert exit_code(lambda: finetune.main(arguments)) == EXIT_FAILURE
    printed = capsys.readouterr().err
    assert printed.startswith("error: the loss of step ")
    assert "e+29" in printed  # the learning rate of that step
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_a_constant_prediction_is_noticed() -> None:
    metrics = GenreMetrics(["a", "b"])
    y_true = np.eye(2)[[0, 1, 0, 1]]
    metrics(SimpleNamespace(label_ids=y_true, predictions=np.tile([0.3, -2.0], (4, 1))))
    assert metrics.constant
    metrics(SimpleNamespace(label_ids=y_true, predictions=y_true))
    assert not metrics.constant


def test_genres_that_a_split_has_not_are_named(prepared_folder: Path) -> None:
    prepared = load_prepared(prepared_folder)
    assert notes_on_genres(prepared) == []
    only = prepared.splits["train"].filter(lambda row: "Western" not in row["genres"])
    prepared.splits["train"] = only
    assert notes_on_genres(prepared) == ["note: no film of train has Western: learnt as a constant"]


def test_a_run_killed_before_its_record_was_whole_can_be_started_again(tmp_path: Path) -> None:
    (tmp_path / "args.json.new").write_text('{"form')
    RunFolder(tmp_path).check({}, overwrite=False)


def test_a_run_of_another_version_is_refused(
    tiny_arguments: Arguments, finished_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    record = read_json(run / "args.json")
    del record["format"]
    (run / "args.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="run of another version of this project"):
        finetune.main(tiny_arguments(run))
