"""Tokenised films, and the order in which training reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import PreTrainedTokenizerBase

from movie_genres.training.losses import UNKNOWN

_BATCHES_PER_POOL = 50
"""Rows are sorted by length within pools of this many batches: long enough to save the padding,
short enough to keep batches random."""


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
