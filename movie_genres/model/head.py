"""The final Linear of a sequence classifier: find it, start it from a probe, fold a map into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from movie_genres.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def final_linear(model: PreTrainedModel) -> nn.Linear:
    """The last Linear with `num_labels` outputs.

    Raises:
        InputError: If there is none, so that the head can be neither probed nor calibrated.
    """
    candidates = [
        module
        for module in model.modules()
        if isinstance(module, nn.Linear) and module.out_features == model.config.num_labels
    ]
    if not candidates:
        raise InputError(
            f"{type(model).__name__} has no final Linear layer with {model.config.num_labels} "
            "outputs; take an encoder with a sequence-classification class, such as BERT"
        )
    return candidates[-1]


@contextmanager
def captured_features(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """A list that fills with what enters the final Linear, (n_rows, hidden_size) per forward.

    Raises:
        InputError: On the first forward, if it is no vector per row (a decoder classifies every
            token).
    """
    seen: list[torch.Tensor] = []

    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].dim() != 2:
            raise InputError(
                f"{type(model).__name__} classifies every token, not the text; take an encoder"
            )
        seen.append(inputs[0].detach().float())

    handle = final_linear(model).register_forward_pre_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


@dataclass(frozen=True)
class LinearHead:
    """Weights of a final Linear: logits = features @ weight.T + bias."""

    weight: np.ndarray
    """Shape (n_labels, hidden_size)."""
    bias: np.ndarray
    """Shape (n_labels,)."""


def set_head(model: PreTrainedModel, head: LinearHead) -> None:
    """Give the final Linear these weights, in place."""
    linear = final_linear(model)
    if linear.bias is None:
        linear.bias = nn.Parameter(torch.zeros(linear.out_features).to(linear.weight))
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(head.weight))
        linear.bias.copy_(torch.from_numpy(head.bias))


def fold_affine(model: PreTrainedModel, slope: np.ndarray, shift: np.ndarray) -> None:
    """Make the model's logits `slope * logit + shift`, in place, exact to float rounding.

    Args:
        slope: Shape (n_labels,).
        shift: Shape (n_labels,).
    """
    linear = final_linear(model)
    # On the CPU, because Apple's GPUs have no float64.
    weight = linear.weight.detach().cpu().double().numpy()
    bias = 0.0 if linear.bias is None else linear.bias.detach().cpu().double().numpy()
    folded = LinearHead(
        (weight * slope[:, None]).astype(np.float32), (bias * slope + shift).astype(np.float32)
    )
    set_head(model, folded)
