"""Attention in float32 where a CPU trains in bf16 or fp16.

The backward pass of torch's fused attention takes about twice as long on a CPU in bf16 as in
float32; the matrix products around it are faster in bf16. Without this a training of the Kaggle set
takes a fifth longer on a CPU with AVX512-BF16 (docs/recipe.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_FUSED = "sdpa"
_IN_FLOAT32 = "sdpa_in_float32"


def attend_in_float32(model: PreTrainedModel) -> None:
    """Let the fused attention of a model on a CPU compute in float32 under autocast, in place.

    Without autocast nothing changes, and other kinds of attention stay as they are.
    """
    if model.config._attn_implementation == _FUSED:
        model.set_attn_implementation(_IN_FLOAT32)


def fused_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **named: Any
) -> torch.Tensor:
    """`scaled_dot_product_attention`, under autocast on a CPU in float32; dtype of the query."""
    if query.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return scaled_dot_product_attention(query, key, value, **named)
    with torch.autocast("cpu", enabled=False):
        context = scaled_dot_product_attention(query.float(), key.float(), value.float(), **named)
    return context.to(query.dtype)


def _attention_in_float32(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **named: Any,
) -> tuple[torch.Tensor, None]:
    # A mask may hold numbers, and so may what T5 adds to it.
    mask, named = _float32(attention_mask), {name: _float32(v) for name, v in named.items()}
    with torch.autocast("cpu", enabled=False):
        context, _ = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), mask, **named
        )
    return context.to(query.dtype), None


def _float32(value: Any) -> Any:
    floating = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.float() if floating else value


AttentionInterface.register(_IN_FLOAT32, _attention_in_float32)
AttentionMaskInterface.register(_IN_FLOAT32, sdpa_mask)
