"""Whole texts as single vectors: what an encoder knows of them before it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from movie_genres.errors import InputError
from movie_genres.inference.runtimes import TEXTS_AT_ONCE, rows_of_batches, tokens_that_suit
from movie_genres.model.devices import autocast
from movie_genres.progress import Pace

WINDOW = 256
"""Tokens that are read in one piece."""


@torch.inference_mode()
def embed_whole(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    window: int = WINDOW,
    precision: str = "float32",
) -> np.ndarray:
    """The mean of an encoder's last layer over all tokens of a text, of length 1.

    A text that is longer than a window is read in several of them, none of which knows the others.

    Args:
        encoder: Without a head; is set to evaluation.
        tokenizer: A fast one.
        window: Tokens, special ones included.
        precision: float32, bf16 or fp16 (autocast).

    Returns:
        float32, shape (n_texts, hidden_size).

    Raises:
        InputError: If the tokenizer is a slow one: it does not tell the windows of a text.
    """
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} is no fast tokenizer, which soft labels need: "
            "--soft-labels 0, or another encoder"
        )
    encoder.eval()
    pace = Pace()
    sums = np.zeros((len(texts), encoder.config.hidden_size))
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        some = list(texts[first : first + TEXTS_AT_ONCE])
        windows = tokenizer(
            some, truncation=True, max_length=window, return_overflowing_tokens=True
        )
        text_of = first + np.array(windows.pop("overflow_to_sample_mapping"))
        lengths = np.array([len(ids) for ids in windows["input_ids"]])
        batches = list(rows_of_batches(lengths, tokens_that_suit(encoder.device)))
        for number, rows in enumerate(batches):
            if pace.is_due():
                done = first + len(some) * number // len(batches)
                left = pace.left(done, len(texts))
                print(f"embedding whole texts, {left} left", flush=True)
            batch = tokenizer.pad(
                {name: [values[row] for row in rows] for name, values in windows.items()},
                return_tensors="pt",
            ).to(encoder.device)
            with autocast(precision, encoder.device):
                states = encoder(**batch).last_hidden_state.float()
            summed = (states * batch["attention_mask"][:, :, None]).sum(dim=1)
            np.add.at(sums, text_of[rows], summed.cpu().numpy())
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return (sums / np.maximum(length, 1e-12)).astype(np.float32)
