"""Text -> logits -> genres: a published model at use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from scipy.special import expit
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from movie_genres.columns import field_names
from movie_genres.decisions import Decisions, label_names
from movie_genres.errors import InputError
from movie_genres.fields import PLOT, TITLE, TextFields
from movie_genres.head import captured_features

LOADING_ERRORS = (
    OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError,
    StrictDataclassError,
)  # fmt: skip
"""What transformers raises for a folder that is no model, or a broken one."""

_TEXTS_AT_ONCE = 10_000
"""Are tokenised: their tokens, as lists, take some kilobytes each."""


def default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@torch.inference_mode()
def predict_logits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    max_length: int,
    batch_size: int = 32,
    features: bool = False,
) -> np.ndarray:
    """Logits of texts in their order, computed in batches of similar length.

    Args:
        max_length: Tokens after which a text is cut.
        features: Give what enters the final Linear instead, shape (n_texts, hidden_size).

    Returns:
        float32, shape (n_texts, n_labels).
    """
    model.eval()
    width = int(model.config.hidden_size if features else len(label_names(model.config)))
    outputs = np.empty((len(texts), width), dtype=np.float32)
    with captured_features(model) as seen:
        for rows, padded in length_sorted_batches(tokenizer, texts, max_length, batch_size, "pt"):
            logits = model(**padded.to(model.device)).logits
            outputs[rows] = (seen[-1] if features else logits.float()).cpu().numpy()
            seen.clear()
    return outputs


def length_sorted_batches(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    max_length: int,
    batch_size: int,
    tensors: str,
) -> Iterator[tuple[np.ndarray, BatchEncoding]]:
    """Padded batches of similar length, each with the rows it is made of.

    The longest come first among each `_TEXTS_AT_ONCE` texts.

    Args:
        tensors: "pt" or "np".
    """
    for first in range(0, len(texts), _TEXTS_AT_ONCE):
        some = list(texts[first : first + _TEXTS_AT_ONCE])
        encoded = tokenizer(some, truncation=True, max_length=max_length)
        names = [name for name in tokenizer.model_input_names if name in encoded]
        order = np.argsort([-len(ids) for ids in encoded["input_ids"]], kind="stable")
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = {name: [encoded[name][row] for row in rows] for name in names}
            yield first + rows, tokenizer.pad(batch, return_tensors=tensors)


@dataclass(frozen=True)
class Prediction:
    """The genres of one film."""

    genres: dict[str, float]
    """Given genres and their probabilities, the most probable first."""
    probabilities: dict[str, float]
    """All genres, in label order."""


class GenreClassifier:
    """A model folder or Hub id, ready to give genres.

    >>> classifier = GenreClassifier.from_pretrained("runs/demo/model")
    >>> classifier(["Two detectives hunt a killer."])[0].genres
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        decisions: Decisions,
        fields: TextFields,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.decisions = decisions
        self.max_length = stored_max_length(tokenizer, model)
        self.fields = fields

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        threshold: float | None = None,
        objective: str | None = None,
        never_empty: bool | None = None,
    ) -> GenreClassifier:
        """Load a folder or a Hub id.

        Args:
            name: Of the folder or on the Hub.
            threshold: Cut all genres here, in [0, 1], and not at the thresholds that the model
                carries; so a model without (usable) thresholds can be used, too.
            objective: Take the thresholds that were tuned for it, such as "f1_macro".
            never_empty: Give the most probable genre to a film that reaches no threshold; None: as
                the model's config says.

        Raises:
            InputError: If there is no such model or it has no usable thresholds.
        """
        model, tokenizer = load_model(name)
        decisions = Decisions.of_config(
            model, name, threshold=threshold, objective=objective, never_empty=never_empty
        )
        fields = TextFields.from_json(getattr(model.config, "text_fields", None), name)
        return cls(model, tokenizer, decisions, fields)

    def probabilities(self, texts: Sequence[str], *, batch_size: int = 32) -> np.ndarray:
        """Calibrated probabilities of texts as the column `text` has them, (n_texts, n_labels)."""
        logits = predict_logits(
            self.model,
            self.tokenizer,
            texts,
            max_length=self.max_length,
            batch_size=batch_size,
        )
        return expit(logits.astype(np.float64))

    def __call__(
        self,
        films: Sequence[str | Mapping[str, Any]],
        titles: Sequence[str | None] | None = None,
    ) -> list[Prediction]:
        """Genres of films: their fields are cleaned and composed as in preparation.

        A film without a plot gets no genre: its title alone would be a guess.

        Args:
            films: Plots, or mappings with the plot (`plot`, `overview`, ...) and the other fields
                that the model was trained on (`self.fields.names`); lists are flattened.
            titles: Of the plots.

        Raises:
            InputError: If a mapping has no plot, or several.
        """
        given = titles or [None] * len(films)
        cleaned = [
            self.fields.clean(_values(film, title))
            for film, title in zip(films, given, strict=True)
        ]
        texts = [self.fields.compose(values) for values in cleaned]
        if not texts:
            return []
        y_prob = self.probabilities(texts)
        y_pred = self.decisions.decide(y_prob)
        y_pred[[not values[PLOT] for values in cleaned]] = 0
        return [self._prediction(p, d) for p, d in zip(y_prob, y_pred, strict=True)]

    def _prediction(self, y_prob: np.ndarray, y_pred: np.ndarray) -> Prediction:
        labels = self.decisions.labels
        given = sorted(np.flatnonzero(y_pred), key=lambda label: -y_prob[label])
        return Prediction(
            {labels[label]: float(y_prob[label]) for label in given},
            dict(zip(labels, y_prob.tolist(), strict=True)),
        )


def _values(film: str | Mapping[str, Any], title: str | None) -> dict[str, Any]:
    """A film's values by the names of the fields."""
    if isinstance(film, str):
        return {TITLE: title, PLOT: film}
    if PLOT in film:
        return dict(film)
    names = field_names(list(film))
    return {names[key]: value for key, value in film.items()}


def load_model(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a trained classifier in float32, on the GPU if there is one.

    Raises:
        InputError: If there is no such folder or Hub id, or it cannot be read.
    """
    check_model_name(name, "--model")
    try:
        model = AutoModelForSequenceClassification.from_pretrained(name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except LOADING_ERRORS as error:
        raise InputError(f"--model {name!r} cannot be loaded: {one_line(error)}") from None
    check_tokenizer(tokenizer, name)
    return model.to(default_device()), tokenizer


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Notice a folder without tokenizer files: transformers makes an empty tokenizer for it.

    Raises:
        InputError: If the vocabulary holds special tokens only.
    """
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise InputError(f"{name!r} has no tokenizer files; save the tokenizer beside the model")


def check_model_name(name: str, flag: str) -> None:
    """Notice a wrong path before the Hub is asked for it.

    Raises:
        InputError: If the name is a path, and no model folder is there.
    """
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"{flag} {name!r} is a folder without a config.json: no model")
    elif path.exists() or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise InputError(f"{flag} {name!r} is no model folder; give a folder or a Hub id")


def stored_max_length(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
    """Tokens after which texts are cut: what training stored, at most the model's positions."""
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    return int(min(tokenizer.model_max_length, positions))


def one_line(error: BaseException) -> str:
    """The first sentence of a library's message."""
    return " ".join(str(error).split())[:300]
