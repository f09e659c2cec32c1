"""Tokenised films, and the order in which training reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from movie_genres.model.batching import PAD_TO_MULTIPLE_OF
from movie_genres.model.cached_films import collate_activations
from movie_genres.model.cpu import cached_activations
from movie_genres.preparation.loading import Prepared
from movie_genres.training.losses import UNKNOWN

_BATCHES_PER_POOL = 50
"""Rows are sorted by length within pools of this many batches: long enough to save the padding,
short enough to keep batches random."""


@dataclass(frozen=True)
class TrainingInputs:
    """What a Trainer reads: tokenised films, or their cached activations, with `labels`."""

    films: Mapping[str, Any]
    """By split: train, and validation from long to short (less padding)."""
    lengths: Mapping[str, np.ndarray]
    """Number of tokens of each film, by split."""
    collate: Callable[[Any], Any]
    """Makes a padded batch of some of the films."""


def tokenize_splits(
    prepared: Prepared, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> TrainingInputs:
    """Tokenise the splits that training reads, truncated to `max_length` tokens."""
    train, validation = (
        tokenize(prepared.splits[split], tokenizer, max_length) for split in ("train", "validation")
    )
    validation = validation.select(np.argsort(-token_lengths(validation), kind="stable"))
    # Padding to more than `max_length` might be more than the encoder has positions for.
    multiple = PAD_TO_MULTIPLE_OF if max_length % PAD_TO_MULTIPLE_OF == 0 else None
    films = {"train": train, "validation": validation}
    return TrainingInputs(
        films,
        {split: token_lengths(rows) for split, rows in films.items()},
        DataCollatorWithPadding(tokenizer, pad_to_multiple_of=multiple),
    )


def forward(
    model: PreTrainedModel, inputs: TrainingInputs, split: str, rows: np.ndarray
) -> tuple[Any, dict[str, torch.Tensor]]:
    """What a model makes of some films of a split; and their batch, on the CPU."""
    films = inputs.films[split]
    batch = inputs.collate([films[int(row)] for row in rows])
    texts = {name: v.to(model.device) for name, v in batch.items() if name != "labels"}
    return model(**texts), dict(batch)


@contextmanager
def cached_inputs(
    inputs: TrainingInputs,
    model: PreTrainedModel,
    n_frozen: int,
    *,
    folder: Path,
    precision: str,
    required: bool,
) -> Iterator[TrainingInputs]:
    """The same films as cached activations, which the model reads while the context lasts.

    `model.cpu.cached_activations` has the arguments. Where nothing can be cached, the inputs are
    given as they are.
    """
    with cached_activations(
        model,
        inputs.films,
        inputs.lengths,
        inputs.collate,
        n_frozen=n_frozen,
        folder=folder,
        precision=precision,
        required=required,
    ) as films:
        yield inputs if films is None else replace(inputs, films=films, collate=collate_activations)


def tokenize(rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """What the model reads (`input_ids`, `attention_mask`, ...) and `labels`; no other column.

    Texts are truncated to `max_length` tokens and not padded. Unknown labels are marked
    `losses.UNKNOWN`.
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
        # A short batch stays last, or all batches behind it would begin elsewhere.
        full = len(batches) - (len(batches[-1]) < self.batch_size)
        for batch in [*rng.permutation(full), *range(full, len(batches))]:
            yield from batches[batch].tolist()
        yield from [len(self.lengths)] * self.fillers
