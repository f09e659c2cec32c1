"""The films that a model is most confidently wrong about, as a page: there label errors show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PER_GENRE = 5


def render_mistakes(
    labels: Sequence[str],
    names: Sequence[str],
    y_true: np.ndarray,
    y_pred: np.ndarray,
    y_prob: np.ndarray,
) -> str:
    """A Markdown page: for each genre the wrong decisions that were farthest from the label.

    Args:
        labels: Genre names in column order.
        names: What each film is called, in row order.
        y_true: Multi-hot, NaN where unknown (never a mistake), shape (n_samples, n_labels).
        y_pred: Multi-hot decisions, same shape.
        y_prob: Probabilities, same shape.
    """
    lines = [
        "# The most confident mistakes on the test split",
        "",
        f"For each genre at most {PER_GENRE} films that got it without having it, and {PER_GENRE} "
        "that have it and did not get it, the surest first. Where the model is sure and the label "
        "disagrees, look at the label: genres are often left out.",
    ]
    for label, genre in enumerate(labels):
        table = []
        for given, rows in (
            (
                "given wrongly",
                _surest(y_true[:, label] == 0, y_pred[:, label] == 1, y_prob[:, label]),
            ),
            ("missed", _surest(y_true[:, label] == 1, y_pred[:, label] == 0, -y_prob[:, label])),
        ):
            for row in rows:
                has, gets = (_names(labels, y[row]) for y in (y_true, y_pred))
                name = _cell(names[row])
                table.append(f"| {given} | {y_prob[row, label]:.2f} | {name} | {has} | {gets} |")
        if table:
            lines += ["", f"## {genre}", "", *_HEAD, *table]
    return "\n".join([*lines, ""])


_HEAD = ("| | probability | film | has | gets |", "|---|---:|---|---|---|")


def _surest(true: np.ndarray, decided: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(true & decided)
    return rows[np.argsort(-confidence[rows], kind="stable")][:PER_GENRE]


def _names(labels: Sequence[str], cells: np.ndarray) -> str:
    return _cell(", ".join(labels[int(label)] for label in np.flatnonzero(cells == 1))) or "nothing"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
