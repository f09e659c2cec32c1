"""A page of the films that a model is most confidently wrong about; it shows label errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from movie_genres.markdown import escaped

PER_GENRE = 5


def render_mistakes(
    labels: Sequence[str],
    names: Sequence[str],
    y_true: np.ndarray,
    y_pred: np.ndarray,
    y_prob: np.ndarray,
) -> str:
    """A Markdown page: for each genre the wrong decisions with the most confident probabilities.

    Args:
        labels: Genre names in column order.
        names: Of the films, in row order.
        y_true: Multi-hot, NaN where unknown (never a mistake), shape (n_samples, n_labels).
        y_pred: Multi-hot decisions, same shape.
        y_prob: Probabilities, same shape.
    """
    lines = [
        "# The most confident mistakes on the test split",
        "",
        f"For each genre at most {PER_GENRE} films that were given it wrongly, and {PER_GENRE} for "
        "which it was missed, the most confident mistakes first. Some of them are errors of the "
        "labels, which often leave a genre out.",
    ]
    for label, genre in enumerate(labels):
        table = []
        true, pred, prob = (y[:, label] for y in (y_true, y_pred, y_prob))
        given_wrongly = _most_confident((true == 0) & (pred == 1), prob)
        missed = _most_confident((true == 1) & (pred == 0), -prob)
        for mistake, rows in (("given wrongly", given_wrongly), ("missed", missed)):
            for row in rows:
                genres, given = (_names(labels, y[row]) for y in (y_true, y_pred))
                name = escaped(names[row])
                table.append(
                    f"| {mistake} | {y_prob[row, label]:.2f} | {name} | {genres} | {given} |"
                )
        if table:
            lines += ["", f"## {escaped(genre)}", "", *_HEAD, *table]
    return "\n".join([*lines, ""])


_HEAD = ("| mistake | probability | film | true genres | given genres |", "|---|---:|---|---|---|")


def _most_confident(mistakes: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(mistakes)
    return rows[np.argsort(-confidence[rows], kind="stable")][:PER_GENRE]


def _names(labels: Sequence[str], cells: np.ndarray) -> str:
    return (
        escaped(", ".join(labels[int(label)] for label in np.flatnonzero(cells == 1))) or "nothing"
    )
