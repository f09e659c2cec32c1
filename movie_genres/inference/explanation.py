"""Why a film got its genres: how each probability changes when a sentence is left out.

The method is the occlusion of Zeiler and Fergus (2014), with sentences instead of patches. It
shows what the model's answer depends on, not what is right, and not what two sentences do together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from movie_genres.inference.sentences import parts_of, without
from movie_genres.reading.columns import PLOT

if TYPE_CHECKING:
    from movie_genres.inference.classifier import GenreClassifier, Prediction

SHOWN = 2
"""Sentences that are shown for a genre."""
SMALLEST_CHANGE = 0.01
"""Of a probability; a smaller one is none."""


class Reason(NamedTuple):
    """A sentence that speaks for a genre."""

    sentence: str
    change: float
    """Probability of the genre with the sentence minus without it, in [-1, 1]."""


@dataclass(frozen=True)
class Explanation:
    """What the genres of one film depend on."""

    prediction: Prediction
    sentences: tuple[str, ...]
    """Of the plot, as far as the model reads it; the clauses, if it is one sentence."""
    changes: dict[str, tuple[float, ...]]
    """By genre, for each sentence: the probability with it minus without it, in [-1, 1]. Empty if
    the plot has one part only, without which nothing is left."""

    def reasons(self, genre: str, most: int = SHOWN) -> list[Reason]:
        """The sentences that speak for a genre, the one that counts most first."""
        found = map(Reason, self.sentences, self.changes.get(genre, ()))
        speaking = [reason for reason in found if reason.change >= SMALLEST_CHANGE]
        return sorted(speaking, key=lambda reason: -reason.change)[:most]


def explain(
    classifier: GenreClassifier, plot: str | Mapping[str, Any], title: str | None = None
) -> Explanation:
    """Predict a film's genres, once with all sentences and once without each of them.

    Args:
        classifier: The model.
        plot: A plot, or a mapping of fields, as the classifier takes them.
        title: Of a plot.
    """
    film = classifier.clean(plot, title)
    (prediction,) = classifier.predict_clean([film])
    film[PLOT] = _as_read(classifier, film)
    parts = parts_of(film[PLOT])
    if len(parts) < 2:
        return Explanation(prediction, tuple(parts), {})
    shorter, start = [], 0
    for part in parts:
        start = film[PLOT].index(part, start)
        shorter.append(film | {PLOT: without(film[PLOT], part, start)})
        start += len(part)
    texts = [classifier.fields.compose(values) for values in (film, *shorter)]
    whole, *rest = classifier.probabilities(texts)
    changes = {
        genre: tuple(float(whole[label] - left[label]) for left in rest)
        for label, genre in enumerate(classifier.decisions.labels)
    }
    return Explanation(prediction, tuple(parts), changes)


def _as_read(classifier: GenreClassifier, film: Mapping[str, str]) -> str:
    """The plot up to where the text is truncated: without a sentence no other one must move in."""
    text = classifier.fields.compose(film)
    read = classifier.tokenizer(
        text, truncation=True, max_length=classifier.max_length, return_offsets_mapping=True
    )
    lost = len(text) - max(stop for _, stop in read["offset_mapping"])
    plot = film[PLOT]
    if lost <= 0 or not text.endswith(plot):  # something follows the plot, or names are masked
        return plot
    return plot[: max(0, len(plot) - lost)].rstrip()
