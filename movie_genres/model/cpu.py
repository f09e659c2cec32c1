"""What only makes a CPU faster: cached activations of frozen layers, and a shortened last layer.

Frozen layers give the same activations for a film at every step. They are computed once, kept on
disk while training lasts, and read by the first trainable layer. Where the head reads the first
position alone, the last layer computes no other. On a GPU, which computes activations about as
fast as a disk gives them, and where nothing is frozen, none of this runs.

The model stays one whole model: inside the context some of its modules have another `forward`, and
weights, their names and checkpoints are what they are without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from movie_genres.errors import InputError, TrainingError
from movie_genres.model.attention import fused_attention
from movie_genres.model.batching import rows_of_batches, tokens_that_suit
from movie_genres.model.cached_films import Cache, CachedFilms, RowsFile
from movie_genres.model.devices import autocast
from movie_genres.model.layers import Batch, captured_inputs, find_embeddings, find_stack
from movie_genres.progress import Pace

if TYPE_CHECKING:  # using a model needs neither the Trainer's libraries nor their seconds
    from accelerate import PartialState
    from transformers import PreTrainedModel

_UNSUPPORTED = (AttributeError, IndexError, RuntimeError, StopIteration, TypeError, ValueError)
"""What a model raises that cannot run without its embeddings and lower layers."""
FILMS_COMPARED = 8
"""Films on which the layers that are trained must give what the whole model gives."""
SAME_PROBABILITY = 1e-3
"""Both are computed in float32."""


@contextmanager
def cached_activations(
    model: PreTrainedModel,
    films: Mapping[str, Any],
    lengths: Mapping[str, np.ndarray],
    collate: Callable[[Any], Any],
    *,
    n_frozen: int,
    folder: Path,
    precision: str,
    required: bool = False,
) -> Iterator[dict[str, CachedFilms] | None]:
    """Let a model train on cached activations of its frozen layers, while the context lasts.

    All processes compute the activations together, unless the folder holds them already.

    Args:
        model: A sequence classifier. Inside the context it reads `inputs_embeds`.
        films: Tokenised films by split.
        lengths: Number of tokens of each film, by split.
        collate: Makes a padded batch of some of these films.
        n_frozen: How many of the lowest layers are frozen, with the embeddings.
        folder: Where the activations are kept; the caller removes it.
        precision: Of the training. Activations of float32 are kept as such, others in float16,
            which is finer than bf16.
        required: Refuse a disk without room.

    Yields:
        The films by split, for `collate_activations`. None, and the model as it is, where the
        architecture does not allow it or the disk has no room.

    Raises:
        InputError: If the disk has no room and `required` is set.
        TrainingError: At the end, if the whole model gives other probabilities than the layers
            that were trained.
    """
    from accelerate import PartialState

    dtype = "float32" if precision == "float32" else "float16"
    cache = Cache.of(folder, lengths, model.config.hidden_size, dtype)
    some = next(iter(films))
    spread = np.linspace(0, len(lengths[some]) - 1, FILMS_COMPARED).astype(int)
    few = np.argsort(lengths[some])[np.unique(spread)]  # so that some of them are padded
    shortcut = find_shortcut(model, n_frozen, _inputs(films[some], few, collate, model.device))
    process, complete = PartialState(), cache.is_complete()
    process.wait_for_everyone()
    if shortcut is None or not (complete or _has_room(process, cache, required=required)):
        yield None
        return
    if not complete:
        with autocast(precision, model.device):
            for split, rows in films.items():
                _write_share(process, model, n_frozen, rows, cache.files[split], collate)
        process.wait_for_everyone()
        if process.is_main_process:
            cache.mark_complete()
    with shortcut.applied(model):
        yield {
            split: CachedFilms(cache.files[split], np.array(rows["labels"], dtype=np.float32))
            for split, rows in films.items()
        }
    if process.is_main_process:  # the others may hold other weights by now
        shortcut.check(model)


def _has_room(process: PartialState, cache: Cache, *, required: bool) -> bool:
    """Whether the disk has room for the files, which the main process creates if so.

    Raises:
        InputError: If it has not, and is required to.
    """
    from accelerate.utils import broadcast_object_list

    # One process looks: they might be told different things while it creates the files.
    (lack,) = broadcast_object_list([cache.reserve() if process.is_main_process else None])
    if lack and required:
        raise InputError(
            f"--cache-activations always: {lack}; make room, or name a folder on another disk as "
            "--output-dir, or give auto, which then computes them at every step"
        )
    if lack and process.is_main_process:
        print(f"note: {lack}: they are computed at every step", flush=True)
    return lack is None


@torch.inference_mode()
def _write_share(
    process: PartialState,
    model: PreTrainedModel,
    n_frozen: int,
    films: Any,
    file: RowsFile,
    collate: Callable[[Any], Any],
) -> None:
    """Write what this process computes of a split's activations."""
    model.eval()
    batches = list(rows_of_batches(file.lengths, tokens_that_suit(model.device)))
    own, pace = batches[process.process_index :: process.num_processes], Pace()
    for done, rows in enumerate(own):
        if process.is_main_process and pace.is_due():
            split, left = file.path.name, pace.left(done, len(own))
            print(f"caching activations of the {split} split, {left} left", flush=True)
        entering = activations(model, n_frozen, _inputs(films, rows, collate, model.device))
        values = entering.float().cpu().numpy()
        lengths = file.lengths[rows]
        file.write(rows.tolist(), (v[:length] for v, length in zip(values, lengths, strict=True)))


def _inputs(
    films: Any, rows: np.ndarray, collate: Callable[[Any], Any], device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """A batch of films without their labels."""
    batch = collate([films[int(row)] for row in rows])
    return {name: values.to(device) for name, values in batch.items() if name != "labels"}


def activations(model: PreTrainedModel, n_frozen: int, batch: Batch) -> torch.Tensor:
    """What enters layer `n_frozen`, shape (rows, tokens, width)."""
    with captured_inputs(model, n_frozen) as run:
        inputs, named = run(batch)
    entering: torch.Tensor = inputs[0] if inputs else named["hidden_states"]
    return entering.detach()


@dataclass(frozen=True, eq=False)
class Shortcut:
    """How a model runs from the activations that enter its first trainable layer."""

    n_frozen: int
    layers_return_tuples: bool
    shortened: bool
    """Whether the last layer computes the first position alone."""
    batch: Batch
    """Some texts."""
    entering: torch.Tensor
    """Their activations before the training."""

    @contextmanager
    def applied(self, model: PreTrainedModel) -> Iterator[None]:
        """Give some modules another `forward`, until the context ends."""
        layers = find_stack(model)
        forwards = {find_embeddings(model): _first_embedded}
        forwards |= dict.fromkeys(layers[: self.n_frozen], self._skip)
        if self.shortened:
            forwards[layers[-1]] = partial(_first_position, layers[-1])
        for module, forward in forwards.items():
            module.forward = forward
        model.main_input_name = "inputs_embeds"  # by which the Trainer counts tokens
        try:
            yield
        finally:
            for module in forwards:
                del module.forward
            del model.main_input_name

    @torch.no_grad()
    def check(self, model: PreTrainedModel) -> None:
        """Compare the layers that were trained with the whole model.

        Raises:
            TrainingError: If they give other probabilities: what was trained is not what would be
                published.
        """
        model.eval()
        whole = model(**self.batch).logits
        with self.applied(model):
            trained = self.logits(model)
        difference = float((whole.sigmoid() - trained.sigmoid()).abs().max())
        if not difference <= SAME_PROBABILITY:
            lower = activations(model, self.n_frozen, self.batch)
            changed = not torch.allclose(lower, self.entering, rtol=1e-3, atol=1e-3)
            raise TrainingError(
                f"the whole model gives a film another probability (by {difference:.2g}) than the "
                f"layers that were trained: {'the frozen' if changed else 'the shortened'} layers "
                f"of {type(model).__name__} compute something else than before the training. Give "
                "--cache-activations never"
            )

    def logits(self, model: PreTrainedModel) -> torch.Tensor:
        """Of the texts, by a model that this is applied to, from their activations."""
        mask = self.batch["attention_mask"]
        logits: torch.Tensor = model(inputs_embeds=self.entering, attention_mask=mask).logits
        return logits

    def _skip(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        return (hidden_states, None) if self.layers_return_tuples else hidden_states


@torch.no_grad()
def find_shortcut(model: PreTrainedModel, n_frozen: int, batch: Batch) -> Shortcut | None:
    """How a model can run from cached activations, tried out on a padded batch of texts.

    Returns:
        None if no or every layer is frozen, or if the architecture does not allow it.
    """
    layers = find_stack(model)
    # Cached activations are padded on the right.
    if not 0 < n_frozen < len(layers) or not batch["attention_mask"][:, 0].all():
        return None
    training, outputs = model.training, []
    model.eval()
    handle = layers[0].register_forward_hook(lambda _, __, output: outputs.append(output))
    expected = model(**batch).logits
    handle.remove()
    found, entering = None, activations(model, n_frozen, batch)
    for shortened in (True, False):
        shortcut = Shortcut(n_frozen, isinstance(outputs[0], tuple), shortened, batch, entering)
        with suppress(*_UNSUPPORTED), shortcut.applied(model):
            logits = shortcut.logits(model)
            if torch.allclose(logits, expected, rtol=1e-4, atol=1e-4):
                found = shortcut
                break
    model.train(training)
    return found


def shorten_last_layer(model: PreTrainedModel, batch: Batch) -> None:
    """Where the head reads the first position alone, let the last layer compute no other, in place.

    Args:
        model: A sequence classifier, set to evaluation.
        batch: A padded batch, on which it must give the same logits as before.

    Raises:
        InputError: If no stack of layers is found.
    """
    last, same = find_stack(model)[-1], False
    with torch.no_grad(), suppress(*_UNSUPPORTED):
        expected = model(**batch).logits
        last.forward = partial(_first_position, last)
        same = torch.allclose(model(**batch).logits, expected, rtol=1e-4, atol=1e-4)
    if not same:
        vars(last).pop("forward", None)


def _first_embedded(*inputs: Any, **named: Any) -> torch.Tensor:
    """In the place of the embeddings: the input that is embedded already."""
    return next(
        value
        for value in (*inputs, *named.values())
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() == 3
    )


def _first_position(
    layer: Any,
    hidden_states: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    *_: Any,
    **__: Any,
) -> torch.Tensor:
    """A layer of the BERT family at its first position: (rows, tokens, width) -> (rows, 1, width).

    Queries, attention output and feed-forward block of the other positions are most of a last
    layer's work, and nothing reads them where the head stands on the first position.
    """
    attention, first = layer.attention.self, hidden_states[:, :1]

    def heads(hidden: torch.Tensor) -> torch.Tensor:
        return hidden.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)

    context = fused_attention(
        heads(attention.query(first)),
        heads(attention.key(hidden_states)),
        heads(attention.value(hidden_states)),
        attn_mask=None if attention_mask is None else attention_mask[:, :, :1],
        dropout_p=attention.dropout.p if layer.training else 0.0,
    )
    attended = layer.attention.output(context.transpose(1, 2).flatten(2), first)
    output: torch.Tensor = layer.feed_forward_chunk(attended)
    return output
