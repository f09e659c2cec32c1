"""Outcomes of a comparison -> quality against time."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")  # no window: the figure goes to a file

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from benchmarks.compare_report import curve
from benchmarks.comparison import TITLES, Outcomes
from movie_genres.figure_style import BLUE, GREY, ORANGE, STYLE

LOOKS = {
    "stock": (ORANGE, "s"),
    "tuned": ("#b83280", "^"),
    "tuned-bf16": ("#805ad5", "v"),
    "tfidf": (GREY, "D"),
    "embeddings": ("#2f855a", "P"),
    "setfit": ("#975a16", "X"),
    "ours": (BLUE, "o"),
}
"""Colour and marker by recipe."""


def plot_comparison(outcomes: Outcomes) -> Figure:
    """Best validation mAP so far over the seconds, a thin line per seed, a mark where it ends.

    A recipe without a training ends at once; a dashed line shows its level.
    """
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.5, 4), layout="constrained")
        for recipe, by_seed in outcomes.items():
            colour, marker = LOOKS[recipe]
            ends = []
            for outcome in by_seed.values():
                seconds, scores = np.array(curve(outcome)).T
                best = np.maximum.accumulate(scores)
                axis.plot(seconds[:-1], best[:-1], ".", color=colour, markersize=4, alpha=0.6)
                axis.plot(seconds, best, color=colour, linewidth=0.9, alpha=0.6,
                          drawstyle="steps-post")  # fmt: skip
                ends.append((seconds[-1], scores[-1]))
            x, y = np.array(ends).T
            axis.plot(x, y, marker, color=colour, markersize=6, label=TITLES[recipe])
            if all(not outcome["curve"] for outcome in by_seed.values()):
                axis.axhline(y.mean(), color=colour, linewidth=0.8, linestyle="--", alpha=0.7)
        axis.set_xscale("log")
        axis.set_xlabel("seconds of training")
        axis.set_ylabel("best validation mAP so far")
        axis.grid(True, axis="y")
        axis.legend(fontsize=7, loc="best")
        return figure
