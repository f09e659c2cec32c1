"""The encoder to fine-tune: found, loaded with a head for our genres, in a precision that pays."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from movie_genres.model.devices import autocast
from movie_genres.model.folders import LOADING_ERRORS, check_model_name, check_tokenizer
from movie_genres.model.head import captured_features, final_linear

DEFAULT_ENCODER = "default"
_LOADED = (".safetensors", ".bin", ".json", ".txt", ".model")
"""What an encoder and its tokenizer are read from."""
_SHORT = ("a film", "a film film")
"""Of which one has an odd number of tokens: some encoders (Funnel) join neighbouring ones."""
_SAME = 1e-3
"""Of what enters the head, as a share of the largest number; rounding is 1e-6."""


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
    encoder: EncoderName,
    labels: list[str],
    max_length: int,
    *,
    dropout: float = 0.0,
    precision: str = "float32",
) -> LoadedEncoder:
    """Load an encoder with a new head of `len(labels)` outputs, in float32, and its tokenizer.

    Args:
        encoder: Where it is.
        labels: Genre names in column order.
        max_length: Tokens that it will have to read.
        dropout: Probability for every dropout of the encoder and its head.
        precision: In which it will be trained: float32, bf16 or fp16 (autocast).

    Raises:
        InputError: If it cannot be loaded, `max_length` is more than it can read, or texts cannot
            be classified with it.
    """
    try:
        config = AutoConfig.from_pretrained(
            encoder.path,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            problem_type="multi_label_classification",
            use_cache=False,  # as the Trainer has it, also where a resumed run trains no more
        )
        for name, value in config.to_dict().items():
            if "dropout" in name and isinstance(value, float):
                setattr(config, name, dropout)
        tokenizer = AutoTokenizer.from_pretrained(encoder.path)
        with quiet_loading():
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
    check_tokenizer(tokenizer, encoder.path)
    limit = min(_positions(model), tokenizer.model_max_length)
    if not 8 <= max_length <= limit:
        raise InputError(f"--max-length {max_length} is outside 8 to {limit}, what it can read")
    head = final_linear(model)
    # A head of as many other genres would have been kept; ours starts from nothing.
    torch.nn.init.normal_(head.weight, std=getattr(config, "initializer_range", 0.02))
    if head.bias is not None:
        torch.nn.init.zeros_(head.bias)
    _try_out(model, tokenizer, max_length, precision, encoder.path)
    own = {id(parameter) for parameter in head.parameters()}
    missing = set(loading["missing_keys"])
    random = [n for n, p in model.named_parameters() if n in missing and id(p) not in own]
    return LoadedEncoder(model, tokenizer, random)


def _positions(model: PreTrainedModel) -> int:
    """How many tokens the model has positions for; very many where positions are relative."""
    positions = getattr(model.config, "max_position_embeddings", None) or 0
    for name, module in model.named_modules():
        # RoBERTa and its kin count from behind the number of the padding token.
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            before = -1 if module.padding_idx is None else module.padding_idx
            positions = min(positions, module.num_embeddings - before - 1)
    return positions if positions > 0 else sys.maxsize


def _try_out(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    precision: str,
    name: str,
) -> None:
    """Run texts through the model, the longest that it will have to read among them.

    Raises:
        InputError: If it cannot read them, does not give one vector per text to its head, or gives
            another one for a text beside longer ones.
    """
    flag = f"--model-name-or-path {name!r}"
    if tokenizer.pad_token is None:
        raise InputError(f"{flag}: its tokenizer has no padding token; take an encoder")
    model.eval()
    tried, remedy = "float32", "take another encoder"
    try:
        with torch.inference_mode(), captured_features(model) as seen:
            for length in (max_length, 8):
                model(**sample_batch(tokenizer, length))
            for short in _SHORT:
                model(**tokenizer([short], return_tensors="pt"))
            tried, remedy = precision, "give --precision float32"
            with autocast(precision, model.device):
                model(**sample_batch(tokenizer, 8))
    except InputError:
        raise
    except Exception as error:  # whatever an architecture raises that cannot do it
        raise InputError(
            f"{flag}: {type(model).__name__} cannot read texts of up to {max_length} tokens in "
            f"{tried} ({type(error).__name__}: {one_line(error)}); {remedy}"
        ) from None
    beside, alone = seen[0][1:], torch.cat(seen[2 : 2 + len(_SHORT)])
    if (beside - alone).abs().max() > _SAME * alone.abs().max():
        raise InputError(
            f"{flag}: what {type(model).__name__} makes of a text depends on the padding of its "
            "batch, so that no probability could be trusted; take another encoder"
        )


def sample_batch(tokenizer: PreTrainedTokenizerBase, length: int) -> dict[str, Any]:
    """A padded batch of texts, as a model reads them: one of `length` tokens, and shorter ones."""
    texts, longest = ["a film " * length, *_SHORT], max(length, 8)
    return dict(
        tokenizer(texts, truncation=True, max_length=longest, padding=True, return_tensors="pt")
    )


@contextmanager
def quiet_loading() -> Iterator[None]:
    """No load report and no bar: that the head is new is what this project does."""
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
