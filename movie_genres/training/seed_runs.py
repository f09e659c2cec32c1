"""Seed runs: several trainings from one initialisation, one after another, and their average."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accelerate import PartialState
from transformers import PreTrainedModel

from movie_genres.training.averaging import SeedRun, set_trainable_weights, trainable_weights
from movie_genres.training.checkpoints import train_with_checkpoints
from movie_genres.training.run_folder import RunFolder
from movie_genres.training.selection import Choice, Scorer
from movie_genres.training.trainer import whole_model


@dataclass(frozen=True)
class Trained:
    """What the seed runs of a run came to."""

    model: PreTrainedModel
    """Whole on the first process."""
    seed_runs: list[SeedRun]
    choice: Choice | None
    """On the first process, where there are several seed runs."""


def train_seed_runs(
    model: PreTrainedModel,
    run: RunFolder,
    build_trainer: Callable[[int, float], Any],
    scorer: Scorer,
    *,
    count: int,
    seconds: float,
) -> Trained:
    """Train `count` times from the weights that the model has; keep the average, or the best.

    Seed runs that an interrupted command has finished are not repeated.

    Args:
        model: To train, in place.
        run: Where weights and checkpoints are kept.
        build_trainer: Gives the `FilmTrainer` of a seed run, by its number (from 1) and the seconds
            that the run has taken so far.
        scorer: Compares the average with the seed runs.
        count: Number of seed runs; 1 averages nothing.
        seconds: That the run has taken so far.

    Raises:
        TrainingStoppedError: If a signal asked to stop; the checkpoint to resume from is written.
    """
    process, initial, trained = PartialState(), trainable_weights(model), model
    for number in range(1, count + 1):
        kept = run.weights(number)
        complete = kept.is_complete()
        process.wait_for_everyone()
        if not complete:
            set_trainable_weights(model, initial)
            trainer = build_trainer(number, seconds)
            train_with_checkpoints(trainer)
            trained = whole_model(trainer, model)
            if process.is_main_process:
                seed_run = SeedRun.of_state(trainer.state, trainer.args, trainer.seconds())
                kept.save(trainable_weights(trained), seed_run)
            process.wait_for_everyone()
        if count > 1 and process.is_main_process:
            shutil.rmtree(run.seed_run(number), ignore_errors=True)  # its checkpoints
        seconds = kept.record().seconds
    folders, choice = [run.weights(number) for number in range(1, count + 1)], None
    if process.is_main_process:  # alone: the weights of several seed runs are large
        if count == 1:
            set_trainable_weights(trained, folders[0].weights())
        else:
            choice = scorer.keep_best(trained, [folder.weights() for folder in folders])
            print(choice.sentence(), flush=True)
    return Trained(trained, [folder.record() for folder in folders], choice)
