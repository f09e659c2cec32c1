"""What a training leaves: logs that stay, a card of what was done, a run that can be resumed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import transformers.integrations.integration_utils as integrations
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_finetune import read_json

import finetune
from movie_genres.command_line import EXIT_FAILURE, exit_code
from movie_genres.errors import InputError
from movie_genres.training.checkpoints import find_restart
from movie_genres.training.run_folder import RunFolder

Arguments = Callable[..., list[str]]


def events(folder: Path) -> EventAccumulator:
    read = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    return read.Reload()


def test_tensorboard_logs_of_each_seed_run_stay_with_their_confusion_matrices(
    tiny_arguments: Arguments, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = ["--report_to", "tensorboard", "--soup", "2", "--logging-steps", "5"]
    assert finetune.main(tiny_arguments(run, *flags)) == 0
    assert not list((run / "checkpoints").glob("seed-run-*"))
    assert {path.name for path in (run / "logs").iterdir()} == {"seed-run-1", "seed-run-2"}
    for folder in (run / "logs").iterdir():
        read = events(folder)
        losses = read.Scalars("train/loss")
        assert [event.step for event in losses] == [5, 10, 15, 20]
        scores = read.Scalars("eval/average_precision_macro")
        assert [event.step for event in scores] == [10, 20]
        evaluation = read_json(run / "evaluations" / folder.name / "step-000020.json")
        assert scores[1].value == pytest.approx(
            evaluation["metrics"]["eval_average_precision_macro"], rel=1e-6
        )
        figures = read.Images("confusion")
        assert [event.step for event in figures] == [10, 20]
        assert all(figure.width > 100 and figure.height > 100 for figure in figures)
        assert all(figure.encoded_image_string[1:4] == b"PNG" for figure in figures)


def test_logs_of_one_training_lie_in_logs_and_go_with_an_overwrite(
    tiny_arguments: Arguments, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = ["--report_to", "tensorboard", "--num-train-epochs", "1"]
    assert finetune.main(tiny_arguments(run, *flags)) == 0
    (first,) = (run / "logs").iterdir()
    assert events(run / "logs").Images("confusion")
    assert finetune.main(tiny_arguments(run, *flags, "--overwrite")) == 0
    (second,) = (run / "logs").iterdir()
    assert second.name != first.name


class Tracker(ModuleType):
    """Stands for wandb, or trackio: a run that was begun takes what is logged until it is ended."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.run: Any = None
        self.runs: dict[str, list[int]] = {}
        self.config = MagicMock()
        self.__version__ = "1"
        self.context_vars = SimpleNamespace(current_space_id=SimpleNamespace(get=lambda: None))

    def init(self, name: str, **_: Any) -> None:
        assert self.run is None
        self.run = SimpleNamespace(name=name, summary={}, _label=lambda **_: None)
        self.runs[name] = []

    def log(self, values: dict[str, Any]) -> None:
        self.runs[self.run.name].append(values["train/global_step"])

    def finish(self) -> None:
        self.run = None


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_each_seed_run_is_a_run_of_its_own_whose_steps_rise(
    tiny_arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tracker, config_util = Tracker(name), ModuleType("wandb.sdk.lib.config_util")
    config_util.ConfigError = KeyError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, tracker)
    monkeypatch.setitem(sys.modules, "wandb.sdk.lib.config_util", config_util)
    for part in ("wandb.sdk", "wandb.sdk.lib"):
        monkeypatch.setitem(sys.modules, part, ModuleType(part))
    monkeypatch.setattr(integrations, f"is_{name}_available", lambda: True)
    flags = ["--report_to", name, "--soup", "2", "--num-train-epochs", "1", "--logging-steps", "5"]
    assert finetune.main(tiny_arguments(tmp_path / "films", *flags)) == 0
    assert list(tracker.runs) == ["films-seed-run-1", "films-seed-run-2"]
    for steps in tracker.runs.values():
        assert steps == sorted(steps)
        assert {5, 10} <= {*steps}
    assert tracker.run is None


@pytest.mark.parametrize(
    ("flags", "words", "best"),
    [
        (["--max_steps", "7", "--load_best_model_at_end", "False"],
         "0.7 (7 steps), the weights after the last step", None),
        (["--max_steps", "7", "--metric_for_best_model", "f1_micro"],
         "0.7 (7 steps), best checkpoint by validation f1_micro after 0.7", 0.7),
        (["--early-stopping-patience", "1", "--num-train-epochs", "6", "--learning-rate", "0"],
         "2 of 6, stopped early, best checkpoint by validation mAP after 1", 1.0),
        (["--eval_strategy", "no", "--save_strategy", "no", "--load_best_model_at_end", "False"],
         "2, the weights after the last step", None),
    ],
    ids=["last", "best", "early", "unseen"],
)  # fmt: skip
def test_the_card_says_what_was_trained_and_not_what_was_asked_for(
    tiny_arguments: Arguments, tmp_path: Path, flags: list[str], words: str, best: float | None
) -> None:
    assert finetune.main(tiny_arguments(tmp_path / "run", *flags)) == 0
    card = (tmp_path / "run" / "README.md").read_text()
    (line,) = (line for line in card.splitlines() if line.startswith("- epochs: "))
    assert line == f"- epochs: {words}"
    train = read_json(tmp_path / "run" / "metrics.json")["train"]
    assert train["best_epochs"] == [best]
    if "--max_steps" in flags:
        assert train["steps"] == [7]


def test_the_card_leaves_out_a_warm_up_that_a_schedule_has_not(
    tiny_arguments: Arguments, tmp_path: Path
) -> None:
    flags = ["--lr_scheduler_type", "constant", "--optim", "sgd", "--num-train-epochs", "1"]
    assert finetune.main(tiny_arguments(tmp_path / "run", *flags)) == 0
    card = (tmp_path / "run" / "README.md").read_text()
    assert "- learning rate: 0.0011, constant, no warm-up\n" in card
    assert "- optimiser: sgd, weight decay 0.01\n" in card


def test_an_unfinished_run_is_resumed_with_what_does_not_change_its_result(
    tiny_arguments: Arguments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    half = ["--frozen-share", "0.5"]
    assert finetune.main(tiny_arguments(whole, "--logging-steps", "2", *half)) == 0
    step = finetune.GenreTrainer.training_step

    def killed(self: finetune.GenreTrainer, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 13:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(finetune.GenreTrainer, "training_step", killed)
        with pytest.raises(KeyboardInterrupt):
            finetune.main(tiny_arguments(run, *half))
    changed = [
        *[*half, "--cache-activations", "never"],
        *["--dataloader_num_workers", "1", "--logging-steps", "2", "--logging_first_step"],
        *["--per_device_eval_batch_size", "7", "--eval_accumulation_steps", "1"],
        *[
            "--films-per-step",
            "16",
            "--per-device-train-batch-size",
            "8",
            "--save_total_limit",
            "3",
        ],
        *["--gradient_checkpointing", "--log_level_replica", "error", "--torch_empty_cache_steps"],
        *["5", "--skip_memory_metrics", "True", "--dataloader_pin_memory", "False"],
    ]
    with pytest.raises(InputError, match=r"other --films-per-step \(16 in that run, 32 given\)"):
        finetune.main(tiny_arguments(run, *half, "--films-per-step", "32"))
    capsys.readouterr()
    assert finetune.main(tiny_arguments(run, *changed)) == 0
    assert "resuming from" in capsys.readouterr().out
    ours, theirs = (read_json(folder / "metrics.json") for folder in (run, whole))
    assert ours["test"]["chosen"] == pytest.approx(theirs["test"]["chosen"], abs=1e-4)
    state = read_json(run / "checkpoints" / "checkpoint-20" / "trainer_state.json")
    steps = [log["step"] for log in state["log_history"] if "loss" in log and log["step"] > 10]
    assert steps == [12, 14, 16, 18, 20]  # by the logging that is asked for now


def test_a_run_older_than_films_per_step_had_what_its_batches_came_to(
    tiny_arguments: Arguments, finished_run: Path, tmp_path: Path
) -> None:
    record = read_json(finished_run / "args.json")
    older = {**record, "project": {**record["project"]}}
    del older["project"]["films_per_step"]
    shutil.copytree(finished_run, tmp_path / "run")
    RunFolder(tmp_path / "run").start(older, overwrite=False)
    RunFolder(tmp_path / "run").check(record, overwrite=False)
    other = {**record, "project": {**record["project"], "films_per_step": 8}}
    with pytest.raises(InputError, match=r"--films-per-step \(16 in that run, 8 given\)"):
        RunFolder(tmp_path / "run").check(other, overwrite=False)


def test_a_best_checkpoint_that_is_gone_is_an_error(
    tiny_arguments: Arguments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    load_best_model = finetune.GenreTrainer._load_best_model

    def too_late(self: finetune.GenreTrainer) -> None:
        shutil.rmtree(self.state.best_model_checkpoint)
        load_best_model(self)

    monkeypatch.setattr(finetune.GenreTrainer, "_load_best_model", too_late)
    assert exit_code(lambda: finetune.main(tiny_arguments(run))) == EXIT_FAILURE
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"error: the best checkpoint, {run}/checkpoints/checkpoint-")
    assert "cannot be loaded: it was not written to its end" in line
    assert not (run / "metrics.json").exists()


@pytest.mark.parametrize("stopped_early", [True, False])
def test_a_moved_run_ends_with_its_best_checkpoint_where_that_lies_now(
    tiny_arguments: Arguments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped_early: bool,
) -> None:
    """Training is over, and its best checkpoint is not the last; the old folder is gone."""
    before, now = tmp_path / "before", tmp_path / "now"
    patience = "1" if stopped_early else "0"
    epochs = "6" if stopped_early else "2"
    flags = ["--early-stopping-patience", patience, "--num-train-epochs", epochs]
    flags += ["--learning-rate", "0"]
    assert finetune.main(tiny_arguments(before, *flags)) == 0
    (before / "metrics.json").unlink()
    shutil.rmtree(before / "checkpoints" / "weights-1")
    before.rename(now)
    load_best_model, loaded = finetune.GenreTrainer._load_best_model, []

    def noted(self: finetune.GenreTrainer) -> None:
        loaded.append(self.state.best_model_checkpoint)
        load_best_model(self)

    monkeypatch.setattr(finetune.GenreTrainer, "_load_best_model", noted)
    monkeypatch.setattr(finetune, "finish", lambda *_: None)
    assert find_restart(now / "checkpoints").checkpoint == now / "checkpoints" / "checkpoint-20"
    assert finetune.main(tiny_arguments(now, *flags)) == 0
    assert loaded == [str(now / "checkpoints" / "checkpoint-10")]


@pytest.mark.parametrize("recipe", [None, "mine.yaml"])
def test_without_a_recipe_another_encoder_is_told_of_its_file(
    tiny_arguments: Arguments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recipe: str | None,
) -> None:
    arguments = tiny_arguments(tmp_path / "run", "--num-train-epochs", "1")
    if recipe:
        (tmp_path / recipe).write_text("soup: 1\n")
        arguments.insert(0, str(tmp_path / recipe))
    monkeypatch.setattr(finetune, "finish", lambda *_: None)
    assert finetune.main(arguments) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "base_encoder.yaml" in line]
    assert len(said) == (recipe is None)
