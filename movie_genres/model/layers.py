"""The stack of layers of an encoder, and freezing the lower ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import PreTrainedModel

from movie_genres.errors import InputError

Batch = Mapping[str, torch.Tensor]


def find_stack(model: PreTrainedModel) -> list[nn.Module]:
    """The layers of the encoder, lowest first: its longest list of modules.

    Raises:
        InputError: If there is none.
    """
    # The layers of some encoders (Funnel) stand in lists of blocks.
    stacks = [
        [layer for one in m for layer in (one if isinstance(one, nn.ModuleList) else [one])]
        for m in model.base_model.modules()
        if isinstance(m, nn.ModuleList) and len(m)
    ]
    if not stacks:
        raise InputError(
            f"no stack of layers in {type(model).__name__}; train it whole: --frozen-share 0"
        )
    return max(stacks, key=len)


def find_embeddings(model: PreTrainedModel) -> nn.Module:
    """The module that turns token ids into what enters the first layer."""
    return getattr(model.base_model, "embeddings", None) or model.get_input_embeddings()


class CapturedError(Exception):
    """The layers above the frozen ones need not run."""


@contextmanager
def captured_inputs(
    model: PreTrainedModel, n_frozen: int
) -> Iterator[Callable[[Batch], tuple[tuple[Any, ...], dict[str, Any]]]]:
    """A function that runs a batch as far as layer `n_frozen`, and gives what enters it.

    Where every layer is frozen it gives what leaves the last one. It raises InputError if the model
    does not call its layers as modules.
    """
    captured: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    layers = find_stack(model)

    def capture(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        captured.append((inputs, named))
        raise CapturedError

    def capture_last(_: nn.Module, __: Any, output: Any) -> None:
        capture(_, output if isinstance(output, tuple) else (output,), {})

    def run(batch: Batch) -> tuple[tuple[Any, ...], dict[str, Any]]:
        with suppress(CapturedError):
            model(**batch)
        if not captured:
            raise InputError(
                f"the layers of {type(model).__name__} cannot be frozen one by one; train it "
                "whole: --frozen-share 0"
            )
        return captured.pop()

    if n_frozen < len(layers):
        handle = layers[n_frozen].register_forward_pre_hook(capture, with_kwargs=True)
    else:
        handle = layers[-1].register_forward_hook(capture_last)
    try:
        yield run
    finally:
        handle.remove()


def freeze_lower(model: PreTrainedModel, share: float, batch: Batch) -> int:
    """Stop training the lowest `share` of the layers and all that they read, and their dropout.

    Whatever the input of the first trainable layer depends on is frozen: the embeddings, and what
    some encoders keep beside their layers and use in each of them (the relative positions of
    DeBERTa and MPNet). Else these would go on changing what the frozen layers compute.

    Args:
        share: In [0, 1]; 0 trains everything, embeddings included.
        batch: Any texts, as the model reads them.

    Returns:
        How many layers are frozen.

    Raises:
        InputError: If no stack of layers is found, or it cannot be divided.
    """
    if share <= 0:
        return 0
    layers, begun = find_stack(model), set()
    n_frozen = int(share * len(layers))
    for module in (find_embeddings(model), *layers[:n_frozen]):
        module.requires_grad_(False)
        begun |= set(module.modules())
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    handle = register_module_forward_pre_hook(lambda module, _: begun.add(module))
    with torch.enable_grad(), captured_inputs(model, n_frozen) as run:
        inputs, named = run(batch)
    handle.remove()
    for module in begun.difference(*(layer.modules() for layer in layers[n_frozen:])):
        _remove_dropout(module)
    entering = [t for t in (*inputs, *named.values()) if isinstance(t, torch.Tensor)]
    dependent = [tensor.sum() for tensor in entering if tensor.requires_grad]
    if dependent:
        # Which gradients there are, whatever their values, says what it depends on.
        gradients = torch.autograd.grad(dependent, trained, allow_unused=True)
        for weight, gradient in zip(trained, gradients, strict=True):
            if gradient is not None:
                weight.requires_grad_(False)
    return n_frozen


def _remove_dropout(module: nn.Module) -> None:
    for name, value in vars(module).items():  # BART and its kin keep the probability as a number
        if isinstance(value, float) and ("dropout" in name or isinstance(module, nn.Dropout)):
            setattr(module, name, 0.0)
