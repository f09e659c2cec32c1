"""Batches of texts of similar length, of a size that suits the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

PAD_TO_MULTIPLE_OF = 8
"""Tokens. A CPU's library of matrix products keeps a program for each shape that it meets, a
gigabyte of them by the end of a training if every length is a shape; GPUs like multiples of 8."""
_BATCH_TOKENS = {"cpu": 1024}
"""What 1,024 tokens make between two layers stays in the cache of a CPU; batches of 32 long films
are slower there than one film after the other."""
_BATCH_TOKENS_ELSEWHERE = 32 * 512
"""A GPU wants many rows at once."""


def tokens_that_suit(device: torch.device) -> int:
    """Tokens of a batch, padding included, when nothing but outputs is wanted."""
    return _BATCH_TOKENS.get(device.type, _BATCH_TOKENS_ELSEWHERE)


def rows_of_batches(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Rows from long to short, divided into batches.

    Args:
        lengths: Tokens of each row, shape (n_rows,).
        batch_tokens: A batch has as many rows as fit, padding included; one at least.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        rows = order[start : start + max(1, batch_tokens // longest)]
        yield rows
        start += len(rows)
