"""Cached activations on disk: a file for each split, and the batches that are read from it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from movie_genres.errors import TrainingError
from movie_genres.files import write_json
from movie_genres.model.batching import PAD_TO_MULTIPLE_OF

MOST_OF_DISK = 0.5
"""Of what is free: the rest is for checkpoints, and for others."""
_COMPLETE = "complete.json"


@dataclass(frozen=True, eq=False)
class RowsFile:
    """Arrays of one width and different lengths, one after another in a file."""

    path: Path
    lengths: np.ndarray
    """Of each row, shape (n_rows,)."""
    width: int
    dtype: str

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each row begins, and where the last one ends, in units of the width."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @property
    def n_bytes(self) -> int:
        return int(self.starts[-1]) * self.width * np.dtype(self.dtype).itemsize

    def allocate(self) -> None:
        """Create the file, so that several processes can write their rows into it.

        Raises:
            OSError: If the disk has no room for it.
        """
        with self.path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                # Of the empty file: where a file system (NFS) cannot do it, the C library writes
                # into each block, and would first read what a longer file has there.
                os.posix_fallocate(file.fileno(), 0, self.n_bytes)
            else:  # room is taken when rows are written
                file.truncate(self.n_bytes)

    def write(self, rows: Iterable[int], values: Iterable[np.ndarray]) -> None:
        """Write rows, each of shape (length, width).

        Raises:
            TrainingError: If a value is not finite, or beyond the range of the file.
        """
        with self.path.open("r+b") as file, np.errstate(over="ignore"):
            for row, value in zip(rows, values, strict=True):
                stored = np.ascontiguousarray(value, dtype=self.dtype)
                if not np.isfinite(value).all():
                    raise TrainingError(
                        "the encoder's activations are not finite. Likely causes: an encoder whose "
                        "weights are damaged, fp16 without the range for this model (--precision "
                        "float32 or bf16)"
                    )
                if not np.isfinite(stored).all():
                    raise TrainingError(
                        f"activations of the frozen layers are beyond the range of {self.dtype}; "
                        "give --cache-activations never"
                    )
                file.seek(self._offset(row))
                file.write(stored.tobytes())

    def read(self, row: int) -> np.ndarray:
        """One row, shape (length, width)."""
        # Read, not mapped: pages of a mapped file count as memory of the process.
        count = int(self.lengths[row]) * self.width
        values = np.fromfile(self.path, self.dtype, count, offset=self._offset(row))
        return values.reshape(-1, self.width)

    def _offset(self, row: int) -> int:
        return int(self.starts[row]) * self.width * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False)
class Cache:
    """A folder with a file of activations for each split."""

    folder: Path
    files: Mapping[str, RowsFile]

    @classmethod
    def of(cls, folder: Path, lengths: Mapping[str, np.ndarray], width: int, dtype: str) -> Cache:
        """`lengths`: number of tokens of each film, by split."""
        return cls(folder, {s: RowsFile(folder / s, n, width, dtype) for s, n in lengths.items()})

    def is_complete(self) -> bool:
        """Whether an interrupted run has left all activations behind."""
        try:
            written = json.loads((self.folder / _COMPLETE).read_text(encoding="utf-8"))
            on_disk = {split: file.path.stat().st_size for split, file in self.files.items()}
            return written == self._sizes() == on_disk
        except (OSError, ValueError):
            return False

    def mark_complete(self) -> None:
        write_json(self.folder / _COMPLETE, self._sizes())

    def reserve(self) -> str | None:
        """Create the files, whose room on the disk is then theirs; what an earlier run left goes.

        Returns:
            None, or what the disk lacks.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        existing = next(path for path in self.folder.parents if path.exists())
        free, needed = shutil.disk_usage(existing).free, sum(self._sizes().values())
        lack = (
            f"{existing} has no room for {needed / 2**30:.1f} GiB of activations of the frozen "
            f"layers ({free / 2**30:.1f} GiB are free; half of that is left for checkpoints)"
        )
        if needed > MOST_OF_DISK * free:
            return lack
        try:
            self.folder.mkdir(parents=True)
            for file in self.files.values():
                file.allocate()
        except OSError as error:  # a quota
            shutil.rmtree(self.folder, ignore_errors=True)
            return f"{lack}: {error.strerror}"
        return None

    def _sizes(self) -> dict[str, int]:
        return {split: file.n_bytes for split, file in self.files.items()}


class CachedFilms(Dataset[dict[str, np.ndarray]]):
    """Films as the trainable layers read them.

    Args:
        file: Activations, one row per film.
        labels: As batches have them, shape (n_films, n_labels).
    """

    def __init__(self, file: RowsFile, labels: np.ndarray) -> None:
        self.file = file
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, np.ndarray]:
        return {"inputs_embeds": self.file.read(row), "labels": self.labels[row]}


def collate_activations(films: Sequence[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """A padded batch of `CachedFilms`: inputs_embeds (float32), attention_mask, labels."""
    activations = [torch.from_numpy(film["inputs_embeds"]) for film in films]
    padded = pad_sequence(activations, batch_first=True).float()
    padded = pad(padded, (0, 0, 0, -padded.shape[1] % PAD_TO_MULTIPLE_OF))
    lengths = torch.tensor([len(film) for film in activations])
    return {
        "inputs_embeds": padded,
        "attention_mask": (torch.arange(padded.shape[1]) < lengths[:, None]).long(),
        "labels": torch.from_numpy(np.stack([film["labels"] for film in films])),
    }
