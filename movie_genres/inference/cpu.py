"""A model that only predicts from now on, changed in place for speed on a CPU."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

from movie_genres.errors import InputError
from movie_genres.model.cpu import shorten_last_layer

_PRODUCTS = "matrix_products"
"""Name of `_attention` among the attention implementations of transformers."""
_ROWS = 1024
"""Of a product, for which oneDNN lays out a weight; others are computed as well."""
_SHAPES_KEPT = "64"
"""Of products that are prepared; unless told, PyTorch and oneDNN keep 1,024 each for every thread,
which over a long file of films of all lengths come to 200 MiB. Read at the first product."""
_BATCH = {
    "input_ids": torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]),
}


def tune_for_cpu(model: PreTrainedModel, precision: str) -> None:
    """Change a sequence classifier so that it predicts the same, faster.

    The last layer computes no position that the head does not read, where there is only one. In
    bf16 the weights are bf16 too: autocast would convert them for each batch. There attention is
    made of plain matrix products, which are computed in bf16; the fused kernel of the CPU is not.
    The Linears go by oneDNN, their weights laid out once; it uses AVX-512 on every CPU that has
    it, PyTorch's MKL not on those of AMD.

    Args:
        model: On a CPU, set to evaluation.
        precision: float32 or bf16.
    """
    for name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(name, _SHAPES_KEPT)
    with suppress(InputError):  # no stack of layers: whatever it is, it predicts
        shorten_last_layer(model, _BATCH)
    if precision == "bf16":
        model.to(torch.bfloat16)  # type: ignore[arg-type]  # the stub of `to` lacks the dtype
        with suppress(ValueError, AttributeError):  # an architecture with attention of its own
            model.set_attn_implementation(_PRODUCTS)
    if (
        torch.backends.mkldnn.is_available()
        and platform.machine() in ("x86_64", "AMD64")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    ):
        _pack(model)


def _attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Softmax attention: (rows, heads, tokens, width) each -> (rows, tokens, heads, width)."""
    scores = (query * (scaling or query.shape[-1] ** -0.5)) @ key.transpose(2, 3)
    if attention_mask is not None:
        scores += attention_mask
    return (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(_PRODUCTS, _attention)
AttentionMaskInterface.register(_PRODUCTS, eager_mask)


class _PackedLinear(nn.Module):
    """A Linear that only predicts."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        bias = None if linear.bias is None else linear.bias.detach()
        packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self.register_buffer("weight", packed)
        self.register_buffer("bias", bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self.weight, self.bias, "none", [], ""
        )
        return outputs


def _pack(module: nn.Module) -> None:
    for name, child in module.named_children():
        # Subclasses may be read otherwise than by being called.
        if type(child) is nn.Linear:
            setattr(module, name, _PackedLinear(child))
        else:
            _pack(child)
