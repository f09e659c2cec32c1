"""Uncertainty of the scores: how they vary over films, of one model and of two models paired.

Every score is computed again without each film in turn (the jackknife: Tukey 1958; Efron &
Tibshirani 1993, chapter 11). That gives its standard error and its small-sample bias.

The average precision of a genre of few films is too high by several hundredths, because each film
of the genre counts among those ranked at least as high as itself. A bootstrap, which draws films
twice, adds to that, so that a percentile interval of mAP often misses the true value. So its
intervals are centred on what it is without that: each film of the genre is judged by the films
ranked above it alone, which is the precision among them without bias.

benchmarks/coverage.py measures how often the intervals hold the true values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gammaincinv, logit, ndtr, ndtri

HEADLINES = (
    "f1_micro",
    "f1_macro",
    "precision_micro",
    "recall_micro",
    "average_precision_macro",
    "subset_accuracy",
)
PER_LABEL = ("precision", "recall", "f1", "average_precision")
LEVEL = 0.95
METHOD = (
    "jackknife over films, corrected for small-sample bias (Tukey 1958; Efron & Tibshirani 1993, "
    "chapter 11); subset accuracy and a genre's precision, recall and F1: Wilson's interval of a "
    "share (Brown, Cai & DasGupta 2001); a genre's average precision: on the logit scale (Boyd, "
    "Eng & Page 2013)"
)
"""What metrics.json says of the intervals."""

_BINOMIAL_POSITIVES = 10
"""A genre with this many positives has its variance half from the jackknife, half from the
binomial distribution: from a handful of films no variance can be estimated."""

_FEW = 3

Interval = tuple[float, float]


@dataclass(frozen=True)
class Intervals:
    """(low, high) in [0, 1]; NaN for the average precision of a genre without a film."""

    headline: dict[str, Interval]
    """By name out of `HEADLINES`."""
    per_label: dict[str, np.ndarray]
    """By name out of `PER_LABEL`, each of shape (n_labels, 2)."""


def score_intervals(
    y_true: np.ndarray, y_pred: np.ndarray, y_prob: np.ndarray, *, level: float = LEVEL
) -> Intervals:
    """Intervals of the scores of some decisions, over the choice of the films.

    - Headline scores: jackknife, bias-corrected, normal. A genre of which the jackknife sees no
      variance (none or all of its films found) adds that of its own interval.
    - Subset accuracy, and a genre's precision and recall: Wilson's score interval of a share.
    - A genre's F1: it is 2J / (1 + J) of J = tp / (tp + fp + fn), which is a share.
    - A genre's average precision: logit scale, bias-corrected, the variance drawn from the
      jackknife's towards the binomial one of Boyd, Eng & Page (2013) where films are few.

    Args:
        y_true: Multi-hot, NaN where unknown, shape (n_samples, n_labels).
        y_pred: Multi-hot decisions, same shape.
        y_prob: Probabilities, same shape.
        level: Coverage, in (0, 1).
    """
    z = float(ndtri((1 + level) / 2))
    found = _Scores.of(y_true, y_pred, y_prob)
    per_label = {
        "precision": wilson(found.tp, found.predicted, z),
        "recall": wilson(found.tp, found.positives, z),
        "f1": _f1_interval(found.tp, found.predicted, found.positives, z),
        "average_precision": _average_precision_interval(found, z),
    }
    unseen = {
        "f1_macro": found.f1_unseen(z).sum(),
        "average_precision_macro": found.ap_unseen(per_label["average_precision"], z).sum(),
    }
    headline = {}
    for name, score in found.headline.items():
        error = float(np.sqrt(score.variance + unseen.get(name, 0.0)))
        headline[name] = _normal(score.value, score.corrected, error, z)
    _replace_shares(headline, found, z)
    return Intervals(headline, per_label)


def _replace_shares(headline: dict[str, Interval], found: _Scores, z: float) -> None:
    """Wilson's interval for the share of films, and where the jackknife sees no variance."""
    tp, predicted, positives = (
        np.array([c.sum()]) for c in (found.tp, found.predicted, found.positives)
    )
    shares = {
        "subset_accuracy": wilson(found.right[:1], found.right[1:], z),
        "precision_micro": wilson(tp, predicted, z),
        "recall_micro": wilson(tp, positives, z),
        "f1_micro": _f1_interval(tp, predicted, positives, z),
    }
    for name, ((low, high),) in shares.items():
        if name == "subset_accuracy" or found.headline[name].variance == 0:
            headline[name] = (float(low), float(high))


def wilson(part: np.ndarray, whole: np.ndarray, z: float) -> np.ndarray:
    """Wilson's score interval of a share, shape (..., 2); (0, 1) of nothing.

    Up to 3 from either end the bound on that side is that of a Poisson variable, as Brown, Cai &
    DasGupta (2001, section 4.1.1) modify it: Wilson's own covers too rarely there.
    """
    n = np.maximum(whole, 1)

    def lower(part: np.ndarray) -> np.ndarray:
        share = part / n
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2) / (1 + z**2 / n)
        few = gammaincinv(np.maximum(part, 1), 2 * ndtr(-z)) / n
        return np.where(
            part == 0, 0.0, np.where(part <= _FEW, np.minimum(few, share), centre - half)
        )

    high = np.where(whole > 0, 1 - lower(whole - part), 1.0)
    return np.stack([lower(part), high], axis=-1)


def _f1_interval(
    tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray, z: float
) -> np.ndarray:
    jaccard = wilson(tp, predicted + positives - tp, z)
    return 2 * jaccard / (1 + jaccard)


def _average_precision_interval(found: _Scores, z: float) -> np.ndarray:
    positives = np.maximum(found.positives, 1)
    centre = np.clip(found.ap_unbiased, 0.01, 0.99)
    weight = _BINOMIAL_POSITIVES / (positives + _BINOMIAL_POSITIVES)
    binomial = centre * (1 - centre) / positives
    variance = (1 - weight) * found.ap_variance + weight * binomial
    half = z * np.sqrt(variance) / (centre * (1 - centre))
    low, high = expit(logit(centre) - half), expit(logit(centre) + half)
    return np.stack([np.minimum(low, found.ap), np.maximum(high, found.ap)], axis=-1)


def _normal(value: float, centre: float, error: float, z: float) -> Interval:
    """A normal interval within [0, 1] that holds the value."""
    low, high = min(centre - z * error, value), max(centre + z * error, value)
    return (float(max(low, 0.0)), float(min(high, 1.0)))


@dataclass(frozen=True)
class Difference:
    """Of one score between two models on the same films: a - b."""

    a: float
    b: float
    interval: Interval
    a_better: float
    """Confidence that a scores higher on new films: 1 minus the one-sided p-value of the normal
    approximation; 0.5 where nothing differs."""

    @property
    def difference(self) -> float:
        return self.a - self.b

    def to_json(self) -> dict[str, float | list[float]]:
        """As metrics.json has it."""
        return {
            "difference": self.difference,
            "interval": list(self.interval),
            "ahead": self.a_better,
        }


def paired_differences(
    y_true: np.ndarray,
    a: tuple[np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray],
    *,
    level: float = LEVEL,
) -> dict[str, Difference]:
    """Differences of the scores of a and b on the same films, by jackknife as in `score_intervals`.

    Args:
        y_true: Multi-hot, NaN where unknown, shape (n_samples, n_labels).
        a: (y_pred, y_prob), each of that shape; `b` likewise.
        level: Coverage of the intervals, in (0, 1).

    Returns:
        By name out of `HEADLINES`.
    """
    z = float(ndtri((1 + level) / 2))
    of_a, of_b = _Scores.of(y_true, *a), _Scores.of(y_true, *b)
    differ = ((a[0] != b[0]) & ~np.isnan(y_true)).any(axis=0)
    unseen = {"f1_macro": (of_a.f1_unseen(z) + of_b.f1_unseen(z))[differ].sum() / 2}
    differences = {}
    for name in HEADLINES:
        one, other = of_a.headline[name], of_b.headline[name]
        corrected = one.corrected - other.corrected
        both = _Jackknife(one.value - other.value, corrected, one.without - other.without)
        error = float(np.sqrt(both.variance + unseen.get(name, 0.0)))
        low, high = corrected - z * error, corrected + z * error
        differences[name] = Difference(
            one.value,
            other.value,
            (min(low, both.value), max(high, both.value)),
            float(ndtr(corrected / error)) if error else (np.sign(both.value) + 1) / 2,
        )
    return differences


@dataclass(frozen=True)
class _Jackknife:
    """A score of all films, and without each film in turn, shape (n_films,)."""

    value: float
    corrected: float
    """The value minus its estimated bias."""
    without: np.ndarray

    @classmethod
    def of(cls, value: float, without: np.ndarray) -> _Jackknife:
        return cls(value, value - (len(without) - 1) * float((without - value).mean()), without)

    @property
    def variance(self) -> float:
        if np.ptp(self.without) < 1e-15:  # rounding makes no variance
            return 0.0
        return (len(self.without) - 1) * float(np.var(self.without))


@dataclass(frozen=True)
class _Scores:
    """Headline scores with their jackknife, and counts of each label, shape (n_labels,)."""

    headline: dict[str, _Jackknife]
    tp: np.ndarray
    predicted: np.ndarray
    positives: np.ndarray
    n_known: np.ndarray
    ap: np.ndarray
    ap_unbiased: np.ndarray
    ap_variance: np.ndarray
    right: np.ndarray
    """(films decided right in every known label, films)."""

    def f1_unseen(self, z: float) -> np.ndarray:
        """Each label's part in the variance of macro-F1 that the jackknife cannot see.

        Where none or all of its films are found, leaving one out changes nothing, and the width of
        the label's own interval stands for it.
        """
        own = _f1_interval(self.tp, self.predicted, self.positives, z)
        union = self.predicted + self.positives - self.tp
        unseen = ((self.tp == 0) | (self.tp == union)) & (self.n_known > 0)
        return np.where(unseen, np.diff(own, axis=1)[:, 0] / (2 * z * len(self.tp)), 0.0) ** 2

    def ap_unseen(self, own: np.ndarray, z: float) -> np.ndarray:
        """Likewise of mAP, `own` being the labels' intervals."""
        found = max(1, int((self.positives > 0).sum()))
        width = np.diff(own, axis=1)[:, 0] / (2 * z * found)
        return np.where(self.ap_variance == 0, width, 0.0) ** 2

    @classmethod
    def of(cls, y_true: np.ndarray, y_pred: np.ndarray, y_prob: np.ndarray) -> _Scores:
        """Of films of which something is known. Needs memory for a few vectors over the films."""
        rows = ~np.isnan(y_true).all(axis=1)
        y_true, y_pred, y_prob = y_true[rows], y_pred[rows], y_prob[rows]
        n_films, n_labels = y_true.shape
        cells = np.zeros((3, n_films))
        counts = np.zeros((4, n_labels), dtype=np.int64)
        ap = np.full((3, n_labels), np.nan)
        f1, without_f1 = 0.0, np.zeros(n_films)
        without_ap = np.zeros(n_films)
        right = np.ones(n_films, dtype=bool)
        for label, (labels, pred, prob) in enumerate(
            zip(y_true.T, y_pred.T, y_prob.T, strict=True)
        ):
            known = ~np.isnan(labels)
            true, pred = labels == 1, (pred == 1) & known  # unknown cells are neither
            parts = true & pred, pred, true
            cells += parts
            counts[:, label] = [part.sum() for part in (*parts, known)]
            right &= true == pred
            value, without = _ratio_without(2 * parts[0], parts[1].astype(np.int64) + parts[2])
            f1, without_f1 = f1 + value / n_labels, without_f1 + without / n_labels
            if true.any():
                found = _Jackknife(*average_precision_without(true, known, prob))
                ap[:, label] = found.value, found.corrected, found.variance
                without_ap += found.without
        n_found = max(1, int((counts[2] > 0).sum()))
        tp, predicted, positives = cells
        mean_ap, mean_unbiased = (np.nansum(ap[:2], axis=1) / n_found).tolist()
        headline = {
            "f1_micro": _Jackknife.of(*_ratio_without(2 * tp, predicted + positives)),
            "f1_macro": _Jackknife.of(f1, without_f1),
            "precision_micro": _Jackknife.of(*_ratio_without(tp, predicted)),
            "recall_micro": _Jackknife.of(*_ratio_without(tp, positives)),
            "average_precision_macro": _Jackknife(mean_ap, mean_unbiased, without_ap / n_found),
            "subset_accuracy": _Jackknife.of(*_ratio_without(right, np.ones(n_films))),
        }
        totals = np.array([right.sum(), n_films])
        return cls(
            headline,
            tp=counts[0], predicted=counts[1], positives=counts[2], n_known=counts[3],
            ap=ap[0], ap_unbiased=ap[1], ap_variance=ap[2], right=totals,
        )  # fmt: skip


def _ratio_without(part: np.ndarray, whole: np.ndarray) -> tuple[float, np.ndarray]:
    """sum(part) / sum(whole), and the same without each film; 0 / 0 is 0."""
    total, size = float(part.sum()), float(whole.sum())
    rest = size - whole
    without = np.divide(total - part, rest, out=np.zeros(len(rest)), where=rest > 0)
    return total / size if size else 0.0, without


def average_precision_without(
    true: np.ndarray, known: np.ndarray, prob: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """Average precision of a label, the same without bias, and without each film.

    By cumulative sums over the distinct scores, from the highest: removing a film takes one from
    the counts at its score and below. Without its only positive the value is left as it is.

    Args:
        true: Whether a film has the genre, bool, at least one; shape (n_films,).
        known: Whether that is known.
        prob: Probabilities; equal ones are taken together.

    Returns:
        The value; the mean over the positives of the precision among the *other* films ranked at
        least as high, 1 where there is none; the values without each film, shape (n_films,).
    """
    scores, place = np.unique(-prob[known], return_inverse=True)
    positive = np.bincount(place, weights=true[known], minlength=len(scores))
    hits = np.cumsum(positive)
    drawn = np.cumsum(np.bincount(place, minlength=len(scores)))
    one_less = np.maximum(drawn - 1, 1)
    term = positive * hits / drawn
    above = np.append(0.0, np.cumsum(term)[:-1])
    total = hits[-1]
    value = float(term.sum() / total)
    negative = (above + (positive * hits / one_less)[::-1].cumsum()[::-1]) / total
    lower = (positive * (hits - 1) / one_less)[::-1].cumsum()[::-1]
    own = (hits - 1) / one_less  # one positive of the removed one's own score falls away
    removed = (above + lower - own) / (total - 1) if total > 1 else np.full(len(scores), value)
    without = np.full(len(true), value)
    without[known] = np.where(true[known], removed[place], negative[place])
    unbiased = float(np.sum(positive * np.where(drawn > 1, own, 1.0)) / total)
    return value, unbiased, without
