"""Whole texts as single vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, CanineTokenizer

from movie_genres.errors import InputError
from movie_genres.training.embeddings import embed_whole

SHORT, LONG = "ghost cellar film .", "wedding prank then film number 7 . " * 6


def test_a_text_is_the_mean_over_the_tokens_of_all_its_windows(tiny_encoder: Path) -> None:
    encoder = AutoModel.from_pretrained(tiny_encoder).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    found = embed_whole(encoder, tokenizer, [SHORT, LONG, ""], window=16)
    assert found.dtype == np.float32
    for text, row in zip((SHORT, LONG, ""), found, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        states = []
        for first in range(0, max(1, len(ids)), 14):
            part = [tokenizer.cls_token_id, *ids[first : first + 14], tokenizer.sep_token_id]
            with torch.no_grad():
                states.append(encoder(torch.tensor([part])).last_hidden_state[0].numpy())
        mean = np.concatenate(states).mean(axis=0)
        assert np.allclose(row, mean / np.linalg.norm(mean), atol=1e-5)
    near = embed_whole(encoder, tokenizer, [SHORT, LONG, ""], window=16, precision="bf16")
    assert 0 < np.abs(near - found).max() < 0.05


def test_a_tokenizer_that_does_not_tell_windows_is_refused(tiny_encoder: Path) -> None:
    encoder = AutoModel.from_pretrained(tiny_encoder)
    with pytest.raises(InputError, match="CanineTokenizer is no fast tokenizer.*--soft-labels 0"):
        embed_whole(encoder, CanineTokenizer(), [SHORT])
