"""What a person sees of a training: readable lines, a file and a figure for each evaluation."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.integrations import TensorBoardCallback, WandbCallback

from movie_genres.evaluation.plots import plot_confusion_matrices
from movie_genres.files import write_json
from movie_genres.model.devices import device_name
from movie_genres.model.encoder import LoadedEncoder
from movie_genres.preparation.loading import Prepared, notes_on_genres
from movie_genres.progress import Pace
from movie_genres.training.arguments import ProjectArguments, films_per_step


def print_plan(
    project: ProjectArguments,
    args: TrainingArguments,
    prepared: Prepared,
    loaded: LoadedEncoder,
    n_frozen: int,
) -> None:
    """Print what will be trained on what."""
    model = loaded.model
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(
        f"training {trainable / 1e6:.1f} of {model.num_parameters() / 1e6:.1f} million weights "
        f"({n_frozen} layers frozen) on {len(prepared.splits['train']):,} films, "
        f"{len(prepared.labels)} genres, {films_per_step(args)} films a step "
        f"({args.gradient_accumulation_steps} x {args.train_batch_size} in each process), in "
        f"{project.precision}, {args.world_size} process(es) on {device_name(args.device)}"
    )
    for line in notes_on_genres(prepared):
        print(line)
    if loaded.random_start:
        print(f"note: the encoder lacks {', '.join(loaded.random_start)}: initialised at random")


class ReadableProgress(ProgressCallback):
    """The stock progress bar (none where there is no terminal), with sentences instead of dicts.

    Args:
        show_bar: Whether there is a terminal.
        seed_runs_left: That follow this one, of as many steps.
    """

    def __init__(self, show_bar: bool, seed_runs_left: int = 0) -> None:
        super().__init__()
        self.show_bar = show_bar
        self.seed_runs_left = seed_runs_left
        self.pace = Pace()

    def replace_stock(self, trainer: Trainer) -> None:
        """Take the place of the Trainer's own progress callbacks."""
        for stock in (ProgressCallback, PrinterCallback):
            trainer.remove_callback(stock)
        trainer.add_callback(self)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.pace = Pace(state.global_step)
        if self.show_bar:
            super().on_train_begin(args, state, control, **kwargs)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.training_bar is not None:
            super().on_step_end(args, state, control, **kwargs)

    def on_prediction_step(
        self, args: Any, state: Any, control: Any, eval_dataloader: Any = None, **kwargs: Any
    ) -> None:
        if self.show_bar:
            super().on_prediction_step(args, state, control, eval_dataloader, **kwargs)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        line = describe(logs or {}, state)
        if not state.is_world_process_zero or line is None:
            return
        if "eval_loss" not in (logs or {}):
            line += f", {self.remaining(state)} of training left"
        if self.training_bar is not None:
            self.training_bar.write(line)
        elif "eval_loss" in (logs or {}) or self.pace.is_due():
            print(line, flush=True)

    def remaining(self, state: Any) -> str:
        """Of all seed runs, by the pace since this command began, evaluations included."""
        return self.pace.left(state.global_step, state.max_steps * (1 + self.seed_runs_left))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.training_bar is not None:
            super().on_train_end(args, state, control, **kwargs)


def describe(logs: dict[str, Any], state: Any) -> str | None:
    """One line for what the Trainer logs; None for what no one reads."""
    where = f"step {state.global_step}/{state.max_steps}  epoch {state.epoch or 0:.2f}"
    if "eval_average_precision_macro" in logs:
        return (
            f"{where}  validation: mAP {logs['eval_average_precision_macro']:.3f}  "
            f"F1 micro {logs['eval_f1_micro']:.3f} at threshold {logs['eval_best_threshold']:.2f}  "
            f"loss {logs['eval_loss']:.3f}"
        )
    if "loss" in logs:
        return (
            f"{where}  loss {float(logs['loss']):.3f}  "
            f"learning rate {float(logs.get('learning_rate', 0)):.1e}  {logs['seconds']:.0f} s"
        )
    return None


class EvaluationFiles(TrainerCallback):
    """After each evaluation: time, scores and confusion matrices as JSON, and in TensorBoard.

    Args:
        trainer: A `FilmTrainer`, whose clock is read.
        folder: For the files.
    """

    def __init__(self, trainer: Any, folder: Path) -> None:
        self.trainer = trainer
        self.folder = folder

    def on_evaluate(
        self,
        args: Any,
        state: Any,
        control: Any,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero:
            return
        scored: Any = self.trainer.compute_metrics
        confusion = scored.confusion
        if scored.constant:
            print(
                "warning: the model gives every validation film the same probabilities. Likely "
                "causes: a learning rate that is too high or 0, texts that are all alike",
                flush=True,
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(
            self.folder / f"step-{state.global_step:06d}.json",
            {
                "step": state.global_step,
                "epoch": state.epoch,
                "seconds": round(self.trainer.seconds(), 3),
                "metrics": metrics,
                "confusion": confusion,
            },
        )
        for callback in self.trainer.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
                figure = plot_confusion_matrices(
                    {
                        cell: np.array([counts[cell] for counts in confusion.values()])
                        for cell in ("tp", "fp", "fn", "tn")
                    },
                    list(confusion),
                    title=f"Validation at step {state.global_step}",
                )
                callback.tb_writer.add_figure("confusion", figure, state.global_step)
                plt.close(figure)


def report_into(trainer: Trainer, logs: Path, seed_run: str) -> None:
    """Give each seed run a place, and a run, of its own in what `--report_to` names.

    Args:
        trainer: Of the seed run.
        logs: Folder for TensorBoard, which stays when the checkpoints are removed; the environment
            variable TENSORBOARD_LOGGING_DIR wins.
        seed_run: Its name; empty if there is one.
    """
    for callback in list(trainer.callback_handler.callbacks):
        if isinstance(callback, TensorBoardCallback):
            callback.logging_dir = str(Path(callback.logging_dir or logs) / seed_run)
        if isinstance(callback, WandbCallback):
            trainer.add_callback(_EndOfWandbRun())


class _EndOfWandbRun(TrainerCallback):
    """Or the next seed run would be logged to this one's run, whose steps are past."""

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            importlib.import_module("wandb").finish()


class EpochOfSampler(TrainerCallback):
    """Tells the sampler its epoch: after resuming within an epoch accelerate does not reach it."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.trainer.sampler is not None:
            self.trainer.sampler.set_epoch(int(state.epoch or 0))
