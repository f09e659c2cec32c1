"""Late fusion of a film's text and poster: in the logits, genre by genre.

A fused logit is `text * a + poster * b + c`. The three are fitted on the validation films that have
a poster, and stored by genre name in the text model's config.json, with thresholds of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from movie_genres.decisions.calibration import cross_entropy
from movie_genres.decisions.stored import by_name
from movie_genres.errors import InputError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

KEY = "poster_fusion"
"""In config.json."""
TEXT_ALONE = "text_alone"
"""In it: thresholds of the text on films with a poster, by which the poster is compared with it."""
PREDICTIONS = "poster_predictions.parquet"
"""In the folder of a run: what publish.py compares with."""
_PARTS = ("text", "poster", "shift")
_TEXT_ALONE = np.array([1.0, 0.0, 0.0])
_SD = np.array([0.3, 0.3, 0.5])
"""Standard deviations of the prior around the text alone, as those of the calibration: with the
log-loss summed over films, a genre with eight positives hardly changes."""


@dataclass(frozen=True)
class Fusion:
    """What is fitted, by genre."""

    weights: np.ndarray
    """Of the text's logit, of the poster's, and the shift; shape (3, n_labels)."""

    @classmethod
    def fit(cls, y_true: np.ndarray, text: np.ndarray, poster: np.ndarray) -> Fusion:
        """At the maximum of the posterior.

        Args:
            y_true: Labels of films with a poster, NaN where unknown, shape (n_films, n_labels).
            text: Calibrated logits of their texts, same shape.
            poster: Calibrated logits of their posters, same shape.
        """
        parts = np.stack([text, poster, np.ones_like(text)]).astype(np.float64)
        known = ~np.isnan(y_true)
        fitted = [
            _fit_label(y_true[known[:, label], label], parts[:, known[:, label], label])
            for label in range(y_true.shape[1])
        ]
        return cls(np.stack(fitted, axis=1))

    def logits(self, text: np.ndarray, poster: np.ndarray) -> np.ndarray:
        """Fused logits of films, float64, shape (n_films, n_labels)."""
        of_text, of_poster, shift = self.weights
        return of_text * text.astype(np.float64) + of_poster * poster + shift

    def to_json(self, labels: list[str]) -> dict[str, Any]:
        return {part: by_name(labels, row) for part, row in zip(_PARTS, self.weights, strict=True)}

    @classmethod
    def of_config(cls, config: PretrainedConfig, labels: list[str], name: str) -> Fusion:
        """Read what finetune.py stored.

        Raises:
            InputError: If the model was trained without posters, or with other genres.
        """
        stored = getattr(config, KEY, None)
        if not stored:
            raise InputError(
                f"{name} does not read posters; train it with finetune.py --image-model"
            )
        try:
            rows = [[float(stored[part][label]) for label in labels] for part in _PARTS]
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{KEY!r} in {name}'s config.json is damaged, or for other genres; train it again"
            ) from None
        return cls(np.array(rows))


def _fit_label(y_true: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """The weights of one genre, given the parts of its logit, shape (3, n_films)."""

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits, away = weights @ parts, (weights - _TEXT_ALONE) / _SD
        value = np.sum(cross_entropy(y_true, logits))
        gradient = parts @ (expit(logits) - y_true) + away / _SD
        return float(value + away @ away / 2), gradient

    return minimize(loss, _TEXT_ALONE, jac=True, method="L-BFGS-B").x
