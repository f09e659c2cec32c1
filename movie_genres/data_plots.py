"""Counts of a prepared dataset -> matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from movie_genres.plots import BLUE, ORANGE, plain

_STYLE: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
_MOST_BARS = 40


def plot_bars(counts: Mapping[str, int], *, xlabel: str, colour: str = BLUE) -> Figure:
    """One horizontal bar for each name, in their order; the first 40."""
    shown = dict(list(counts.items())[:_MOST_BARS])
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 0.24 * len(shown) + 0.9), layout="constrained")
        axis.barh(range(len(shown)), list(shown.values()), color=colour, height=0.72)
        for position, count in enumerate(shown.values()):
            axis.text(count, position, f" {count:,}", va="center", fontsize=8)
        axis.set_yticks(range(len(shown)), [plain(name) for name in shown])
        axis.invert_yaxis()
        axis.set(xlabel=xlabel, xlim=(0, max(shown.values(), default=1) * 1.12))
        axis.tick_params(axis="y", length=0)
        return figure


def plot_cooccurrence(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Share of a row's films that have the column's genre too.

    Args:
        counts: Films that have both genres; those with the genre itself on the diagonal.
        labels: Genre names.
    """
    both = np.asarray(counts, dtype=float)
    share = both / np.maximum(both.diagonal()[:, None], 1)
    np.fill_diagonal(share, np.nan)
    size = 0.32 * len(labels) + 1.6
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(size, size), layout="constrained")
        axis.imshow(share, cmap="Blues", vmin=0, vmax=max(0.01, np.nanmax(share)))
        for (row, column), value in np.ndenumerate(share):
            if value >= 0.005:
                dark = value > 0.55 * np.nanmax(share)
                colour = "white" if dark else "#1a202c"
                axis.text(column, row, f"{value * 100:.0f}", ha="center", va="center",
                          fontsize=6.5, color=colour)  # fmt: skip
        names = [plain(name) for name in labels]
        axis.set_xticks(range(len(labels)), names, rotation=90)
        axis.set_yticks(range(len(labels)), names)
        axis.tick_params(length=0)
        axis.set_title("Of 100 films of the row's genre, so many are of the column's", fontsize=9)
        return figure


def plot_labels_per_film(counts: Mapping[str, int]) -> Figure:
    """Films by their number of genres."""
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(4.2, 2.4), layout="constrained")
        bars = axis.bar(list(counts), list(counts.values()), color=BLUE, width=0.72)
        axis.bar_label(bars, fmt="{:,.0f}", fontsize=8)
        axis.set(xlabel="genres of a film", ylabel="films")
        return figure


def plot_token_lengths(lengths: Sequence[int], max_length: int) -> Figure:
    """Histogram of texts by tokens, and where the default cut is."""
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 2.4), layout="constrained")
        axis.hist(lengths, bins=60, range=(0, float(np.percentile(lengths, 99))), color=BLUE)
        axis.axvline(max_length, color=ORANGE)
        axis.text(max_length, axis.get_ylim()[1], f" --max-length {max_length}", va="top",
                  fontsize=8, color=ORANGE)  # fmt: skip
        axis.set(xlabel="tokens of a text (up to the 99th percentile)", ylabel="films")
        return figure
