"""The encoder to fine-tune: found, loaded with a head for our genres, in a precision that pays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from movie_genres.defaults import ENCODER_HUB_ID, encoder_folder
from movie_genres.errors import InputError, one_line
from movie_genres.files import file_sha256
from movie_genres.model.folders import LOADING_ERRORS, check_model_name, check_tokenizer
from movie_genres.model.head import final_linear

DEFAULT_ENCODER = "default"
_LOADED = (".safetensors", ".bin", ".json", ".txt", ".model")
"""What an encoder and its tokenizer are read from."""


@dataclass(frozen=True)
class EncoderName:
    """Where an encoder is loaded from, and what the card calls it."""

    path: str
    """A folder or a Hub id."""
    base_model: str | None
    """A Hub id, or None for a local folder."""
    license: str | None
    """A licence identifier of the Hub's list, where it is known."""

    def fingerprint(self) -> str | None:
        """SHA-256 of the files of a folder; None for a Hub id."""
        folder = Path(self.path)
        if not folder.is_dir():
            return None
        files = sorted(path for path in folder.iterdir() if path.suffix in _LOADED)
        digests = {path.name: file_sha256(path) for path in files}
        return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


@dataclass(frozen=True)
class LoadedEncoder:
    """A model to train."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    random_start: list[str]
    """Weights besides the final Linear that the encoder lacks: they start at random, and what is
    probed passes through them."""


def find_encoder(name: str) -> EncoderName:
    """Resolve `--model-name-or-path`.

    Raises:
        InputError: If it is a path without a model.
    """
    if name == DEFAULT_ENCODER:
        return EncoderName(str(encoder_folder()), ENCODER_HUB_ID, "apache-2.0")
    check_model_name(name, "--model-name-or-path")
    return EncoderName(name, None if Path(name).is_dir() else name, None)


def load_encoder(
    encoder: EncoderName, labels: list[str], max_length: int, *, dropout: float = 0.0
) -> LoadedEncoder:
    """Load an encoder with a new head of `len(labels)` outputs, in float32, and its tokenizer.

    Args:
        encoder: Where it is.
        labels: Genre names in column order.
        max_length: Tokens that it will have to read.
        dropout: Probability for every dropout of the encoder and its head.

    Raises:
        InputError: If it cannot be loaded, or `max_length` is more than it can read.
    """
    try:
        config = AutoConfig.from_pretrained(
            encoder.path,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            problem_type="multi_label_classification",
        )
        for name, value in config.to_dict().items():
            if "dropout" in name and isinstance(value, float):
                setattr(config, name, dropout)
        tokenizer = AutoTokenizer.from_pretrained(encoder.path)
        with _quiet_loading():
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                encoder.path,
                config=config,
                dtype=torch.float32,
                # A head for other genres is replaced, not an obstacle.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except LOADING_ERRORS as error:
        raise InputError(
            f"--model-name-or-path {encoder.path!r} cannot be loaded: {one_line(error)}"
        ) from None
    positions = getattr(config, "max_position_embeddings", None) or max_length
    limit = min(positions, tokenizer.model_max_length)
    if not 8 <= max_length <= limit:
        raise InputError(f"--max-length {max_length} is outside 8 to {limit}, what it can read")
    check_tokenizer(tokenizer, encoder.path)
    head = final_linear(model)
    # A head of as many other genres would have been kept; ours starts from nothing.
    torch.nn.init.normal_(head.weight, std=getattr(config, "initializer_range", 0.02))
    if head.bias is not None:
        torch.nn.init.zeros_(head.bias)
    own = {id(parameter) for parameter in head.parameters()}
    missing = set(loading["missing_keys"])
    random = [n for n, p in model.named_parameters() if n in missing and id(p) not in own]
    return LoadedEncoder(model, tokenizer, random)


@contextmanager
def _quiet_loading() -> Iterator[None]:
    # No load report and no bar: that the head is new is what this project does.
    level, bar = (
        transformers.logging.get_verbosity(),
        transformers.logging.is_progress_bar_enabled(),
    )
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
        if bar:
            transformers.logging.enable_progress_bar()
