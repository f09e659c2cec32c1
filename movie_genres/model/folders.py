"""Model folders and Hub ids: check and load them; errors are reported in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from movie_genres.errors import InputError, one_line
from movie_genres.model.devices import default_device

if TYPE_CHECKING:  # the Auto classes import what a model needs when it is loaded
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

SERVED_LENGTH = "sentence_bert_config.json"
"""By which Text Embeddings Inference truncates; without it, at the encoder's last position."""
LOADING_ERRORS = (
    OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError,
    StrictDataclassError,
)  # fmt: skip
"""What transformers raises for a folder that is not a model, or is damaged."""


def load_model(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a trained classifier in float32, on the GPU if there is one.

    Raises:
        InputError: If there is no such folder or Hub id, or it cannot be read.
    """
    name = model_folder(name)
    check_model_name(name, "--model")
    try:
        model = AutoModelForSequenceClassification.from_pretrained(name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except LOADING_ERRORS as error:
        raise InputError(f"--model {name!r} cannot be loaded: {one_line(error)}") from None
    check_tokenizer(tokenizer, name)
    return model.to(default_device()), tokenizer


def model_folder(name: str) -> str:
    """The model in the folder of a run, `runs/demo/model` for `runs/demo`; else the name itself."""
    inside = Path(name) / "model"
    is_run = not (Path(name) / "config.json").exists() and (inside / "config.json").is_file()
    return str(inside) if is_run else name


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Refuse a folder without tokenizer files: transformers makes an empty tokenizer for it.

    Raises:
        InputError: If the vocabulary holds special tokens only.
    """
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise InputError(f"{name!r} has no tokenizer files; save the tokenizer beside the model")


def check_model_name(name: str, flag: str) -> None:
    """Refuse a wrong path before the Hub is asked for it.

    Raises:
        InputError: If the name is a path to something that is not a model folder.
    """
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"{flag} {name!r} is a folder without a config.json, so not a model")
    elif path.exists() or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise InputError(f"{flag} {name!r} is no model folder; give a folder or a Hub id")


def stored_max_length(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> int:
    """Tokens to which texts are truncated: as stored by training, at most the model's positions."""
    positions = getattr(config, "max_position_embeddings", None) or 0
    limit = positions if positions > 0 else tokenizer.model_max_length  # -1: relative positions
    return int(min(tokenizer.model_max_length, limit))
