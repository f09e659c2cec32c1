"""What only makes a CPU faster: cached activations of frozen layers, and a shortened last layer.

Frozen layers give the same activations for a film at every step. They are computed once, kept on
disk while training lasts, and read by the first trainable layer. Where the head reads the first
position alone, the last layer computes no other. On a GPU, which computes activations about as
fast as a disk gives them, and where nothing is frozen, none of this runs.

The model stays one whole model: inside the context some of its modules have another `forward`, and
weights, their names and checkpoints are what they are without it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from movie_genres.errors import TrainingError
from movie_genres.files import write_json
from movie_genres.model.attention import fused_attention
from movie_genres.model.batching import PAD_TO_MULTIPLE_OF, rows_of_batches, tokens_that_suit
from movie_genres.model.devices import autocast
from movie_genres.model.layers import find_embeddings, find_stack
from movie_genres.progress import Pace

if TYPE_CHECKING:  # using a model needs neither the Trainer's libraries nor their seconds
    from accelerate import PartialState
    from transformers import PreTrainedModel

MOST_OF_DISK = 0.5
"""Of what is free: the rest is for checkpoints, and for others."""
_COMPLETE = "complete.json"
_UNSUPPORTED = (AttributeError, IndexError, RuntimeError, StopIteration, TypeError, ValueError)
"""What a model raises that cannot run without its embeddings and lower layers."""

Batch = Mapping[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class RowsFile:
    """Arrays of one width and different lengths, one after another in a file."""

    path: Path
    lengths: np.ndarray
    """Of each row, shape (n_rows,)."""
    width: int
    dtype: str

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each row begins, and where the last one ends, in units of the width."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @property
    def n_bytes(self) -> int:
        return int(self.starts[-1]) * self.width * np.dtype(self.dtype).itemsize

    def allocate(self) -> None:
        """Create the file, so that several processes can write their rows into it."""
        with self.path.open("wb") as file:
            file.truncate(self.n_bytes)

    def write(self, rows: Iterable[int], values: Iterable[np.ndarray]) -> None:
        """Write rows, each of shape (length, width).

        Raises:
            TrainingError: If a value is not finite, or beyond the range of the file.
        """
        with self.path.open("r+b") as file, np.errstate(over="ignore"):
            for row, value in zip(rows, values, strict=True):
                stored = np.ascontiguousarray(value, dtype=self.dtype)
                if not np.isfinite(value).all():
                    raise TrainingError(
                        "the encoder's activations are not finite. Likely causes: an encoder whose "
                        "weights are damaged, fp16 without the range for this model (--precision "
                        "float32 or bf16)"
                    )
                if not np.isfinite(stored).all():
                    raise TrainingError(
                        f"activations of the frozen layers are beyond the range of {self.dtype}; "
                        "give --cache-activations never"
                    )
                file.seek(self._offset(row))
                file.write(stored.tobytes())

    def read(self, row: int) -> np.ndarray:
        """One row, shape (length, width)."""
        # Read, not mapped: pages of a mapped file count as memory of the process.
        count = int(self.lengths[row]) * self.width
        values = np.fromfile(self.path, self.dtype, count, offset=self._offset(row))
        return values.reshape(-1, self.width)

    def _offset(self, row: int) -> int:
        return int(self.starts[row]) * self.width * np.dtype(self.dtype).itemsize


class CachedFilms(Dataset[dict[str, np.ndarray]]):
    """Films as the trainable layers read them.

    Args:
        file: Activations, one row per film.
        labels: As batches have them, shape (n_films, n_labels).
    """

    def __init__(self, file: RowsFile, labels: np.ndarray) -> None:
        self.file = file
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, np.ndarray]:
        return {"inputs_embeds": self.file.read(row), "labels": self.labels[row]}


def collate_activations(films: Sequence[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """A padded batch of `CachedFilms`: inputs_embeds (float32), attention_mask, labels."""
    activations = [torch.from_numpy(film["inputs_embeds"]) for film in films]
    padded = pad_sequence(activations, batch_first=True).float()
    padded = pad(padded, (0, 0, 0, -padded.shape[1] % PAD_TO_MULTIPLE_OF))
    lengths = torch.tensor([len(film) for film in activations])
    return {
        "inputs_embeds": padded,
        "attention_mask": (torch.arange(padded.shape[1]) < lengths[:, None]).long(),
        "labels": torch.from_numpy(np.stack([film["labels"] for film in films])),
    }


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

    Yields:
        The films by split, for `collate_activations`. None, and the model as it is, where the
        architecture does not allow it or the disk has no room.
    """
    dtype = "float32" if precision == "float32" else "float16"
    files = {
        split: RowsFile(folder / split, lengths[split], model.config.hidden_size, dtype)
        for split in films
    }
    two = np.argsort(next(iter(lengths.values())))[[0, -1]]  # so that one of them is padded
    shortcut = find_shortcut(model, n_frozen, _inputs(next(iter(films.values())), two, collate))
    if shortcut is None or not _fits_on_disk(files.values(), folder):
        yield None
        return
    from accelerate import PartialState

    process, complete = PartialState(), _is_complete(folder, files.values())
    process.wait_for_everyone()
    if not complete:
        if process.is_main_process:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for file in files.values():
                file.allocate()
        process.wait_for_everyone()
        with autocast(precision, model.device):
            for split, rows in films.items():
                _write_share(process, model, n_frozen, rows, files[split], collate)
        process.wait_for_everyone()
        if process.is_main_process:
            write_json(
                folder / _COMPLETE, {file.path.name: file.n_bytes for file in files.values()}
            )
    with shortcut.applied(model):
        yield {
            split: CachedFilms(files[split], np.array(rows["labels"], dtype=np.float32))
            for split, rows in films.items()
        }


def _is_complete(folder: Path, files: Iterable[RowsFile]) -> bool:
    """Whether an interrupted run has left all activations behind."""
    sizes = {file.path.name: file.n_bytes for file in files}
    try:
        written = json.loads((folder / _COMPLETE).read_text(encoding="utf-8"))
        return written == sizes == {name: (folder / name).stat().st_size for name in sizes}
    except (OSError, ValueError):
        return False


def _fits_on_disk(files: Iterable[RowsFile], folder: Path) -> bool:
    n_bytes = sum(file.n_bytes for file in files)
    existing = next(path for path in folder.parents if path.exists())
    fits = n_bytes <= MOST_OF_DISK * shutil.disk_usage(existing).free
    if not fits:
        print(
            f"note: {existing} has no room for {n_bytes / 2**30:.1f} GiB of activations of the "
            "frozen layers: they are computed at every step"
        )
    return fits


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
        with captured_activations(model, n_frozen) as captured, suppress(_CapturedError):
            model(**_inputs(films, rows, collate, model.device))
        values = captured[0].float().cpu().numpy()
        lengths = file.lengths[rows]
        file.write(rows.tolist(), (v[:length] for v, length in zip(values, lengths, strict=True)))


def _inputs(
    films: Any, rows: np.ndarray, collate: Callable[[Any], Any], device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """A batch of films without their labels."""
    batch = collate([films[int(row)] for row in rows])
    return {name: values.to(device) for name, values in batch.items() if name != "labels"}


class _CapturedError(Exception):
    """The layers above the frozen ones need not run."""


@contextmanager
def captured_activations(model: PreTrainedModel, n_frozen: int) -> Iterator[list[torch.Tensor]]:
    """A list that gets what enters layer `n_frozen`, (rows, tokens, width); the forward ends there.

    Each forward raises `_CapturedError`.
    """
    captured: list[torch.Tensor] = []

    def capture(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        captured.append((inputs[0] if inputs else named["hidden_states"]).detach())
        raise _CapturedError

    handle = find_stack(model)[n_frozen].register_forward_pre_hook(capture, with_kwargs=True)
    try:
        yield captured
    finally:
        handle.remove()


@dataclass(frozen=True)
class Shortcut:
    """How a model runs from the activations that enter its first trainable layer."""

    n_frozen: int
    layers_return_tuples: bool
    shortened: bool
    """Whether the last layer computes the first position alone."""

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

    def _skip(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        return (hidden_states, None) if self.layers_return_tuples else hidden_states


@torch.no_grad()
def find_shortcut(model: PreTrainedModel, n_frozen: int, batch: Batch) -> Shortcut | None:
    """How a model can run from cached activations, tried out on a padded batch of texts.

    Returns:
        None if no or every layer is frozen, or if the architecture does not allow it.
    """
    layers = find_stack(model)
    if not 0 < n_frozen < len(layers):
        return None
    training, outputs = model.training, []
    model.eval()
    handle = layers[0].register_forward_hook(lambda _, __, output: outputs.append(output))
    expected = model(**batch).logits
    handle.remove()
    with captured_activations(model, n_frozen) as captured, suppress(_CapturedError):
        model(**batch)
    found = None
    for shortened in (True, False):
        shortcut = Shortcut(n_frozen, isinstance(outputs[0], tuple), shortened)
        with suppress(*_UNSUPPORTED), shortcut.applied(model):
            mask = batch["attention_mask"]
            logits = model(inputs_embeds=captured[0], attention_mask=mask).logits
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
