"""Seed runs: several trainings from one initialisation, one after another, and their average."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from accelerate import PartialState
from transformers import PreTrainedModel

from movie_genres.training.averaging import (
    SeedRun,
    average,
    set_trainable_weights,
    trainable_weights,
)
from movie_genres.training.checkpoints import train_with_checkpoints
from movie_genres.training.run_folder import RunFolder
from movie_genres.training.trainer import whole_model


def train_seed_runs(
    model: PreTrainedModel,
    run: RunFolder,
    build_trainer: Callable[[int, float], Any],
    *,
    count: int,
    seconds: float,
) -> tuple[PreTrainedModel, list[SeedRun]]:
    """Train `count` times from the weights that the model has, and average what comes out.

    Seed runs that an interrupted command has finished are not repeated.

    Args:
        model: To train, in place.
        run: Where weights and checkpoints are kept.
        build_trainer: Gives the `FilmTrainer` of a seed run, by its number (from 1) and the seconds
            that the run has taken so far.
        count: Number of seed runs; 1 averages nothing.
        seconds: That the run has taken so far.

    Returns:
        The trained model, whole on the first process, and what each seed run came to.

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
                seed_run = SeedRun.of_state(
                    trainer.state,
                    trainer.seconds(),
                    best_is_loaded=trainer.args.load_best_model_at_end,
                )
                kept.save(trainable_weights(trained), seed_run)
            process.wait_for_everyone()
        if count > 1 and process.is_main_process:
            shutil.rmtree(run.seed_run(number), ignore_errors=True)  # its checkpoints
        seconds = kept.load()[1].seconds
    weights, seed_runs = zip(*(run.weights(n + 1).load() for n in range(count)), strict=True)
    if process.is_main_process:
        set_trainable_weights(trained, average(weights))
    return trained, list(seed_runs)
