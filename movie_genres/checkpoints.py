"""Checkpoints that can be trusted: complete and undamaged, or not used.

A checkpoint is complete once it holds a manifest with the SHA-256 of each of its files, which is
written last. What a killed process left half-written has none; what a disk damaged does not match.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from transformers.trainer import TRAINER_STATE_NAME

from movie_genres.files import file_sha256, write_json

MANIFEST = "manifest.json"


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
        return f"its {MANIFEST} cannot be read"
    present = _files(checkpoint)
    for name, digest in expected.items():
        if name not in present:
            return f"{name} is missing"
        if file_sha256(present[name]) != digest:
            return f"{name} is damaged"
    return None


@dataclass(frozen=True)
class Restart:
    """Where a run can go on."""

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
            state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
            best = folder / Path(state["best_model_checkpoint"] or checkpoint).name
            if best != checkpoint and (why := find_damage(best)):
                damage = f"the best checkpoint before it, {best.name}, cannot be used: {why}"
        if damage is None:
            return Restart(checkpoint, damaged)
        damaged[checkpoint] = damage
    return Restart(None, damaged)


def remove_damaged(restart: Restart) -> None:
    """Make room, and say so: the run will come to these steps again."""
    for checkpoint, damage in restart.damaged.items():
        print(f"{checkpoint} cannot be used and is removed: {damage}")
        shutil.rmtree(checkpoint)


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
