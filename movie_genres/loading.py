"""A prepared folder -> tokenised splits, and the order in which training reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict
from datasets.exceptions import DatasetGenerationError
from torch.utils.data import Sampler
from transformers import PreTrainedTokenizerBase

from movie_genres.errors import InputError
from movie_genres.fields import PLOT, TextFields
from movie_genres.losses import UNKNOWN
from movie_genres.splits import SPLITS

_COLUMNS = {"id", "title", "text", "genres", "labels"}
_REPORT_KEYS = {"read", "kept", "splits", "genres", "source"}
_BATCHES_PER_POOL = 50
"""Rows are sorted by length within pools of this many batches: long enough to save the padding,
short enough to keep batches random."""


@dataclass(frozen=True)
class Prepared:
    """What prepare_dataset.py wrote."""

    splits: DatasetDict
    """Columns id, title, text, genres, labels."""
    labels: list[str]
    """Genre names in the order of `labels`' columns."""
    report: dict[str, Any]
    fingerprint: str
    """SHA-256 of the label list and the splits' files."""

    def y(self, split: str) -> np.ndarray:
        """Multi-hot labels of a split, float32, NaN where unknown, shape (n_rows, n_labels)."""
        return np.asarray(self.splits[split]["labels"], dtype=np.float32)

    def texts(self, split: str) -> list[str]:
        return list(self.splits[split]["text"])

    def plots(self, split: str) -> list[str]:
        """What the model reads of a film whose plot is all that is known of it."""
        rows, fields = self.splits[split], self.fields
        if "plot" in rows.column_names:
            return [fields.compose({PLOT: plot}) for plot in rows["plot"]]
        if not fields.is_title_and_plot:
            return self.texts(split)  # prepared by a version that did not keep the plots
        return [
            fields.without_title(text, title)
            for text, title in zip(rows["text"], rows["title"], strict=True)
        ]

    @property
    def fields(self) -> TextFields:
        """Of which `text` is composed."""
        return TextFields.from_json(self.report.get("text_fields"), "the prepared dataset")


def load_prepared(folder: Path) -> Prepared:
    """Open the folder that prepare_dataset.py wrote.

    Raises:
        InputError: If it is not such a folder, or holds rows whose labels do not fit labels.json.
    """
    files = {split: folder / "data" / f"{split}-00000-of-00001.parquet" for split in SPLITS}
    required = [folder / "labels.json", folder / "report.json", *files.values()]
    missing = [path for path in required if not path.is_file()]
    if missing:
        raise InputError(
            f"{folder} is no prepared dataset ({missing[0].name} is missing); make one: "
            f"python prepare_dataset.py --output-dir {folder}"
        )
    try:
        labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        splits = {split: Dataset.from_parquet(str(path)) for split, path in files.items()}
    except (ValueError, pa.ArrowException, DatasetGenerationError) as error:
        raise InputError(f"{folder} is damaged ({error}); prepare it anew") from None
    digest = hashlib.sha256(json.dumps(labels).encode())
    for path in files.values():
        digest.update(path.read_bytes())
    if not set(report) >= _REPORT_KEYS:
        raise InputError(f"{folder}/report.json is not one that prepare_dataset.py wrote")
    for split, rows in splits.items():
        _check_split(folder, split, rows, len(labels))
    return Prepared(DatasetDict(splits), labels, report, digest.hexdigest())


def _check_split(folder: Path, split: str, rows: Dataset, n_labels: int) -> None:
    absent = _COLUMNS - set(rows.column_names)
    if absent:
        raise InputError(f"{folder}: {split} lacks the column(s) {', '.join(sorted(absent))}")
    if len(rows) < 2:
        raise InputError(f"{folder}: {split} has {len(rows)} film(s), too few to judge by")
    if {len(row) for row in rows["labels"]} != {n_labels}:
        raise InputError(f"{folder}: {split} does not have {n_labels} labels in every row")
    labels = np.asarray(rows["labels"], dtype=np.float32)
    if not (np.isin(labels, (0, 1)) | np.isnan(labels)).all():
        raise InputError(f"{folder}: {split} has labels other than 0, 1 and NaN (unknown)")
    if np.isnan(labels).all():
        raise InputError(f"{folder}: {split} has no known label at all; nothing can be judged")


def notes_on_genres(prepared: Prepared) -> list[str]:
    """Sentences about genres that no film of a split has, or that every film has."""
    notes = []
    for split, consequence in (
        ("train", "learnt as a constant"),
        ("validation", "decided by the threshold of the other genres"),
    ):
        y = prepared.y(split)
        for value, films in ((1, "no film"), (0, "every film")):
            seen = (y == value).any(axis=0)
            genres = [prepared.labels[label] for label in np.flatnonzero(~seen)]
            if genres:
                notes.append(f"note: {films} of {split} has {', '.join(genres)}: {consequence}")
    return notes


def label_fingerprint(labels: Sequence[str]) -> str:
    """A short hash of an ordered label list, by which stale thresholds are noticed."""
    return hashlib.sha256(json.dumps(list(labels)).encode()).hexdigest()[:16]


def tokenize(rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """What the model reads (`input_ids`, `attention_mask`, ...) and `labels`; no other column.

    Texts are cut after `max_length` tokens and not padded; the collator pads each batch. Unknown
    labels are marked `losses.UNKNOWN`.
    """
    return rows.map(
        _tokenize_batch,
        batched=True,
        fn_kwargs={"tokenizer": tokenizer, "max_length": max_length},
        remove_columns=rows.column_names,
        keep_in_memory=True,
    )


def _tokenize_batch(
    batch: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, Any]:
    labels = np.nan_to_num(np.asarray(batch["labels"], dtype=np.float32), nan=UNKNOWN)
    return {**tokenizer(batch["text"], truncation=True, max_length=max_length), "labels": labels}


def token_lengths(tokenized: Dataset) -> np.ndarray:
    """Number of tokens of each row, shape (n_rows,)."""
    return np.array([len(ids) for ids in tokenized["input_ids"]], dtype=np.int64)


def by_length(tokenized: Dataset) -> Dataset:
    """Rows from long to short: less padding where the order does not matter."""
    return tokenized.select(np.argsort(-token_lengths(tokenized), kind="stable"))


class LengthGroupedSampler(Sampler[int]):
    """Random order in which neighbouring rows have similar lengths, a new one each epoch.

    The stock length-grouped sampler also reorders evaluation, and cannot repeat an epoch's order
    after resuming; this one's order is a function of (seed, epoch) alone.

    Args:
        lengths: Tokens per row.
        batch_size: Rows per optimiser step, over all processes and accumulation steps.
        seed: Of the order.
        multiple: An epoch is filled up to a multiple of so many rows by the index `len(lengths)`,
            that of `with_filler`'s row.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int, multiple: int = 1) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.fillers = -len(lengths) % multiple
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths) + self.fillers

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.lengths))
        pool = self.batch_size * _BATCHES_PER_POOL
        grouped = np.concatenate(
            [
                rows[np.argsort(-self.lengths[rows], kind="stable")]
                for rows in np.split(order, range(pool, len(order), pool))
            ]
        )
        batches = np.split(grouped, range(self.batch_size, len(grouped), self.batch_size))
        # A short batch stays last, or all batches behind it would be cut elsewhere.
        full = len(batches) - (len(batches[-1]) < self.batch_size)
        for batch in [*rng.permutation(full), *range(full, len(batches))]:
            yield from batches[batch].tolist()
        yield from [len(self.lengths)] * self.fillers
