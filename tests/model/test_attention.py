"""Attention in float32 under autocast."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForSequenceClassification

from movie_genres.model.attention import attend_in_float32, fused_attention


def random_tensor(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.bfloat16, requires_grad=True)


def test_it_is_that_of_float32_in_the_dtype_of_what_came_in() -> None:
    torch.manual_seed(0)
    query, key, value = (
        random_tensor(2, 3, 1, 8),
        random_tensor(2, 3, 5, 8),
        random_tensor(2, 3, 5, 8),
    )
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])[:, None, None]
    with torch.autocast("cpu", torch.bfloat16):
        found = fused_attention(query, key, value, attn_mask=mask)
    whole = [x.detach().float() for x in (query, key, value)]
    scores = whole[0] @ whole[1].transpose(-1, -2) / 8**0.5
    expected = scores.masked_fill(~mask, -torch.inf).softmax(-1) @ whole[2]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected.bfloat16())
    found.float().sum().backward()
    assert key.grad is not None and key.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("lengths", [(6, 6), (6, 3)])
def test_a_model_gives_the_same_without_autocast_and_is_saved_as_before(
    tiny_encoder: Path, tmp_path: Path, lengths: tuple[int, int]
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder).eval()
    batch = {
        "input_ids": torch.arange(12).reshape(2, 6) + 5,
        "attention_mask": (torch.arange(6) < torch.tensor(lengths)[:, None]).long(),
    }
    before = model(**batch).logits
    attend_in_float32(model)
    assert torch.allclose(model(**batch).logits, before, atol=1e-6)

    seen: list[torch.dtype] = []
    with pytest.MonkeyPatch.context() as patch:

        def watched(query: torch.Tensor, *args: torch.Tensor, **named: object) -> torch.Tensor:
            seen.append(query.dtype)
            return scaled_dot_product_attention(query, *args, **named)  # type: ignore[arg-type]

        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
        with torch.autocast("cpu", torch.bfloat16):
            near = model(**batch).logits
    assert seen and set(seen) == {torch.float32}
    assert torch.allclose(near.float(), before, atol=0.05)
    model.save_pretrained(tmp_path)
    assert "sdpa_in_float32" not in (tmp_path / "config.json").read_text()
