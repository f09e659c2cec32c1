"""The stack of layers of an encoder: freeze the lower ones, run the upper ones alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from movie_genres.errors import InputError
from movie_genres.model.attention import fused_attention

_UNSUPPORTED = (AttributeError, IndexError, RuntimeError, StopIteration, TypeError, ValueError)
"""What a model raises that cannot run without its embeddings and lower layers."""


def find_stack(model: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """The longest list of modules in the encoder, and its dotted name within the model.

    Raises:
        InputError: If there is none.
    """
    inside = {id(module) for module in model.base_model.modules()}
    stacks = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and id(module) in inside
    ]
    if not stacks:
        raise InputError(
            f"no stack of layers in {type(model).__name__}; train it whole: --frozen-share 0"
        )
    return max(stacks, key=lambda stack: len(stack[1]))


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
    _, layers = find_stack(model)
    frozen = list(layers[: int(share * len(layers))])
    encoder: nn.Module = model.base_model
    embeddings = getattr(encoder, "embeddings", None) or model.get_input_embeddings()
    for part in (embeddings, *frozen):
        part.requires_grad_(False)
        for module in part.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    return len(frozen)


@contextmanager
def captured_states(model: PreTrainedModel, n_frozen: int) -> Iterator[list[torch.Tensor]]:
    """A list that fills with what enters layer `n_frozen`, (rows, tokens, width) per forward."""
    seen: list[torch.Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append((inputs[0] if inputs else named["hidden_states"]).detach())

    layer = find_stack(model)[1][n_frozen]
    handle = layer.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def upper_part(
    model: PreTrainedModel, n_frozen: int, batch: Mapping[str, torch.Tensor]
) -> PreTrainedModel | None:
    """What stands above the frozen layers, as a model of its own on the same weights.

    It takes what `captured_states` gives as `inputs_embeds`, beside `attention_mask`. Where the
    head reads the first position only, its last layer computes no other.

    Args:
        model: A sequence classifier.
        n_frozen: How many of its lowest layers are left out, with the embeddings.
        batch: A padded batch for `model`, on which the part must give the model's own logits.

    Returns:
        The part; None if the architecture does not allow it.
    """
    _, layers = find_stack(model)
    if not 0 < n_frozen < len(layers):
        return None
    for last in (FirstPositionLayer(layers[-1]), layers[-1]):
        try:
            upper = _without_lower(model, [*layers[n_frozen:-1], last])
            if _gives_the_same(model, upper, n_frozen, batch):
                return upper
        except _UNSUPPORTED:
            continue
    return None


@torch.no_grad()
def shorten_last_layer(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> None:
    """Where the head reads the first position alone, let the last layer compute no other, in place.

    Args:
        model: A sequence classifier, set to evaluation.
        batch: A padded batch, on which it must give the same logits as before.

    Raises:
        InputError: If no stack of layers is found.
    """
    _, layers = find_stack(model)
    whole = layers[-1]
    try:
        expected = model(**batch).logits
        layers[-1] = FirstPositionLayer(whole)
        same = torch.allclose(model(**batch).logits, expected, rtol=1e-4, atol=1e-4)
    except _UNSUPPORTED:
        same = False
    if not same:
        layers[-1] = whole


class FirstPositionLayer(nn.Module):
    """A layer of the BERT family that computes its first position alone.

    Queries, attention output and feed-forward block of the other positions are most of a last
    layer's work, and nothing reads them where the head stands on the first position.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *_: Any,
        **__: Any,
    ) -> torch.Tensor:
        """(rows, tokens, width) -> (rows, 1, width)."""
        layer: Any = self.layer
        attention, first = layer.attention.self, hidden_states[:, :1]

        def heads(states: torch.Tensor) -> torch.Tensor:
            return states.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)

        context = fused_attention(
            heads(attention.query(first)),
            heads(attention.key(hidden_states)),
            heads(attention.value(hidden_states)),
            attn_mask=None if attention_mask is None else attention_mask[:, :, :1],
            dropout_p=attention.dropout.p if self.training else 0.0,
        )
        attended = layer.attention.output(context.transpose(1, 2).flatten(2), first)
        return layer.feed_forward_chunk(attended)


class _Passthrough(nn.Module):
    """In the place of the embeddings: what comes in is embedded, and more, already."""

    def forward(self, *inputs: Any, **named: Any) -> torch.Tensor:
        return next(
            value
            for value in (*inputs, *named.values())
            if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() == 3
        )


def _without_lower(model: PreTrainedModel, layers: list[nn.Module]) -> PreTrainedModel:
    """A shallow copy of the model, other modules on the way to its stack, the rest shared."""
    path = find_stack(model)[0].split(".")
    upper = part = _shallow_copy(model)
    for name in path[:-1]:
        child = _shallow_copy(getattr(part, name))
        setattr(part, name, child)
        part = child
    setattr(part, path[-1], nn.ModuleList(layers))
    upper.base_model.embeddings = _Passthrough()
    upper.main_input_name = "inputs_embeds"  # by which the Trainer counts tokens
    return upper


def _shallow_copy(module: Any) -> Any:
    twin = copy.copy(module)
    twin._modules = module._modules.copy()
    return twin


@torch.no_grad()
def _gives_the_same(
    model: PreTrainedModel,
    upper: PreTrainedModel,
    n_frozen: int,
    batch: Mapping[str, torch.Tensor],
) -> bool:
    modes = model.training, upper.training
    model.eval(), upper.eval()
    with captured_states(model, n_frozen) as seen:
        expected = model(**batch).logits
    found = upper(inputs_embeds=seen[0], attention_mask=batch["attention_mask"]).logits
    model.train(modes[0]), upper.train(modes[1])
    return torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
