"""SIGTERM and Ctrl-C: training finishes the step, saves a checkpoint and stops; a prediction of
many films stops at once, because what it has done is kept already.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback

from movie_genres.checkpoints import remove_older, write_manifest
from movie_genres.trainer import FilmTrainer

SIGNALS = (signal.SIGINT, signal.SIGTERM)


SAME_SIGNAL_SECONDS = 3.0
"""Launchers pass on a signal that the terminal or the scheduler has sent to every process."""


class TrainingStoppedError(Exception):
    """A signal asked for it, and the checkpoint is written."""

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step}")
        self.exit_code = 128 + signal_number


class StoppedError(KeyboardInterrupt):
    """A signal asked for it. No library takes it for an error of its own."""

    after = ""
    """What was done."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.name = signal.Signals(signal_number).name
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        return f"stopped by {self.name} {self.after}; the same command goes on from there"


@contextmanager
def stopping_signals() -> Iterator[None]:
    """SIGTERM and Ctrl-C raise `StoppedError` wherever the main thread is."""

    def stop(number: int, _: FrameType | None) -> None:
        raise StoppedError(number)

    earlier = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


class SafeCheckpoints(TrainerCallback):
    """Declares each checkpoint complete, and writes one more before a signal ends the training.

    Older checkpoints are removed once a new one is complete, and not before.

    A second signal, later than `SAME_SIGNAL_SECONDS` after the first, ends the process at once. As
    a context manager it listens to the signals.
    """

    def __init__(self, trainer: FilmTrainer) -> None:
        self.trainer = trainer
        self.noted = self.stopping_for = 0
        self.noted_at = 0.0
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> SafeCheckpoints:
        self._earlier = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self.noted:
            self.noted, self.noted_at = number, now
        elif now - self.noted_at > SAME_SIGNAL_SECONDS:
            signal.signal(number, self._earlier[number])
            signal.raise_signal(number)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.stopping_for = self.noted
        if args.world_size > 1:
            # One process may have got the signal before the others; all must stop at one step.
            noted = torch.tensor([self.noted], device=args.device)
            self.stopping_for = int(self.trainer.accelerator.gather(noted).max())
        if self.stopping_for:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # Each process has written its own random state.
        self.trainer.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            folder = Path(str(args.output_dir))
            write_manifest(folder / f"checkpoint-{state.global_step}")
            remove_older(folder, self.trainer.checkpoints_kept)
        if self.stopping_for:
            # By an exception, because a stop by `control` evaluates once more and would be kept
            # in the checkpoint as if the training had come to its end.
            raise TrainingStoppedError(self.stopping_for, state.global_step)
