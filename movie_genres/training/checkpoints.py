"""Checkpoints, and other results that a run keeps: complete and undamaged, or not used.

Each is a folder, complete once it holds a manifest with the SHA-256 of each of its files, which is
written last. What a killed process left half-written has none; what is damaged does not match it.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME

from movie_genres.errors import TrainingError
from movie_genres.files import file_sha256, replace_folder, write_json, written_whole
from movie_genres.signals import SIGNALS

MANIFEST = "manifest.json"

SAME_SIGNAL_SECONDS = 3.0
"""Launchers pass on a signal that the terminal or the scheduler has sent to every process."""


def write_manifest(checkpoint: Path) -> None:
    """Declare a checkpoint complete, all its files being written."""
    write_json(
        checkpoint / MANIFEST,
        {name: file_sha256(path) for name, path in _files(checkpoint).items()},
    )


def find_damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, in a few words; None if nothing is."""
    try:
        expected = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "it was not written to its end"
    except (OSError, ValueError):
        expected = None
    if not isinstance(expected, dict) or not expected:
        return f"its {MANIFEST} cannot be read"
    present = _files(checkpoint)
    for name, digest in expected.items():
        if name not in present:
            return f"{name} is missing"
        if file_sha256(present[name]) != digest:
            return f"{name} is damaged"
    return None


def is_intact(folder: Path) -> bool:
    """Whether a result that the run keeps can be used; prints why if it exists and cannot.

    All processes must have checked before the first one writes it again.
    """
    damage = find_damage(folder)
    if damage and folder.exists() and PartialState().is_main_process:
        print(f"{folder} cannot be used and is computed again: {damage}", flush=True)
    return damage is None


@contextmanager
def kept_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write a result into, which then takes the place of `folder`, or is gone."""
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    with written_whole(new):
        yield new
        write_manifest(new)
    replace_folder(new, folder)


@dataclass(frozen=True)
class Restart:
    """Where a run can be resumed."""

    checkpoint: Path | None
    """The newest intact checkpoint; None: from the beginning."""
    damaged: dict[Path, str]
    """Newer ones that cannot be used, and why."""


def find_restart(folder: Path) -> Restart:
    """Look at the checkpoints of a run, the newest first.

    The Trainer ends by loading the best checkpoint, so that one must be intact as well.
    """
    damaged: dict[Path, str] = {}
    for checkpoint in sorted(_checkpoints(folder), key=_step, reverse=True):
        damage = find_damage(checkpoint)
        if damage is None:
            best = best_checkpoint(checkpoint) or checkpoint
            if best != checkpoint and (why := find_damage(best)):
                damage = f"the best checkpoint before it, {best.name}, cannot be used: {why}"
        if damage is None:
            return Restart(checkpoint, damaged)
        damaged[checkpoint] = damage
    return Restart(None, damaged)


def remove_damaged(restart: Restart) -> None:
    """Remove them and print so: the run will come to these steps again."""
    for checkpoint, damage in restart.damaged.items():
        print(f"{checkpoint} cannot be used and is removed: {damage}")
        shutil.rmtree(checkpoint)


def remove_older(folder: Path, limit: int | None) -> None:
    """Remove all checkpoints but the newest ones and the best one of each.

    The stock rotation removes the best one of the last but one, which then is of no use when the
    last one is damaged; and does so before the last one is complete.

    Args:
        limit: How many of the newest stay; None or 0: all.
    """
    if not limit or limit < 0:
        return
    checkpoints = sorted(_checkpoints(folder), key=_step)
    newest = [path for path in checkpoints if (path / MANIFEST).is_file()][-limit:]
    for checkpoint in {*checkpoints} - {*newest} - {best_checkpoint(one) for one in newest}:
        # The manifest first: what a process leaves that is killed now is no checkpoint.
        (checkpoint / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(checkpoint)


def best_checkpoint(checkpoint: Path) -> Path | None:
    """The best checkpoint at the time of this one, where it lies now: the run may have moved."""
    state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    best = state["best_model_checkpoint"]
    return checkpoint.with_name(Path(best).name) if best else None


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"\w+-\d+", path.name)]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _files(checkpoint: Path) -> dict[str, Path]:
    """By their names as seen from the checkpoint, the manifest left out."""
    return {
        path.relative_to(checkpoint).as_posix(): path
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and not path.name.startswith(MANIFEST)
    }


class TrainingStoppedError(Exception):
    """A signal asked for it, and the checkpoint is written."""

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step}")
        self.exit_code = 128 + signal_number


class SafeCheckpoints(TrainerCallback):
    """Declares each checkpoint complete, and writes one more before a signal ends the training.

    Older checkpoints are removed once a new one is complete, and not before.

    A second signal, later than `SAME_SIGNAL_SECONDS` after the first, ends the process at once. As
    a context manager it listens to the signals.

    Args:
        trainer: A `FilmTrainer`.
        resumed: The checkpoint that it resumes from.
    """

    def __init__(self, trainer: Any, resumed: Path | None = None) -> None:
        self.trainer = trainer
        self.resumed = resumed
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

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # A resumed state has the steps of the command before it; logging may differ now.
        state.compute_steps(args, state.max_steps)
        if self.resumed and (best := best_checkpoint(self.resumed)):
            state.best_model_checkpoint = str(best)

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

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # The Trainer has loaded the best checkpoint, or has warned that it cannot.
        if not args.load_best_model_at_end or state.best_global_step is None:
            return
        best = Path(str(args.output_dir)) / f"checkpoint-{state.best_global_step}"
        damage = find_damage(best)
        if damage:
            raise TrainingError(
                f"the best checkpoint, {best}, cannot be loaded: {damage}. The same command "
                "resumes from an earlier one; does another process write this folder?"
            )


def train_with_checkpoints(trainer: Any) -> None:
    """Train, from the newest intact checkpoint if there is one, and load the best one.

    Args:
        trainer: A `FilmTrainer`.

    Raises:
        TrainingStoppedError: If a signal asked to stop; the checkpoint to resume from is written.
    """
    restart = find_restart(Path(str(trainer.args.output_dir)))
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        remove_damaged(restart)
    if restart.checkpoint is not None and trainer.is_world_process_zero():
        print(f"resuming from {restart.checkpoint}", flush=True)
    trainer.accelerator.wait_for_everyone()
    if restart.checkpoint is not None and trainer.was_stopped_early(restart.checkpoint):
        return
    checkpoints = SafeCheckpoints(trainer, restart.checkpoint)
    trainer.add_callback(checkpoints)
    with checkpoints:
        trainer.train(resume_from_checkpoint=str(restart.checkpoint or "") or None)
