"""The stack of layers of an encoder, and freezing the lower ones."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from movie_genres.errors import InputError


def find_stack(model: PreTrainedModel) -> nn.ModuleList:
    """The longest list of modules in the encoder.

    Raises:
        InputError: If there is none.
    """
    stacks = [module for module in model.base_model.modules() if isinstance(module, nn.ModuleList)]
    if not stacks:
        raise InputError(
            f"no stack of layers in {type(model).__name__}; train it whole: --frozen-share 0"
        )
    return max(stacks, key=len)


def find_embeddings(model: PreTrainedModel) -> nn.Module:
    """The module that turns token ids into what enters the first layer."""
    return getattr(model.base_model, "embeddings", None) or model.get_input_embeddings()


def freeze_lower(model: PreTrainedModel, share: float) -> int:
    """Stop training the embeddings and the lowest `share` of the layers, and their dropout.

    Args:
        share: In [0, 1]; 0 trains everything, embeddings included.

    Returns:
        How many layers are frozen.

    Raises:
        InputError: If no stack of layers is found.
    """
    if share <= 0:
        return 0
    layers = find_stack(model)
    frozen = list(layers[: int(share * len(layers))])
    for module in (find_embeddings(model), *frozen):
        module.requires_grad_(False)
        for inner in module.modules():
            if isinstance(inner, nn.Dropout):
                inner.p = 0.0
    return len(frozen)
