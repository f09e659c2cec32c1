"""Results of a comparison -> tables in Markdown, and the learning curve."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from scipy import stats

from benchmarks.recipes import RECIPES
from movie_genres.decisions.intervals import paired_differences
from movie_genres.figure_style import STYLE

HEADLINES = {"mAP": "average_precision_macro", "F1 micro": "f1_micro", "F1 macro": "f1_macro"}


class Row(NamedTuple):
    """What a row of the tables is about."""

    recipe: str
    variant: str
    """Flags of prepare_dataset.py."""
    films: int | None
    """To train on, as they were asked for; None: all."""


Result = Mapping[str, Any]
Results = dict[Row, dict[int, Result]]
"""By row and seed; `path` is the file that a result was read from."""
Column = Callable[[Result], float | None]


def mebibytes(result: Result) -> float | None:
    peak = result["peak_memory_bytes"]
    return None if peak is None else peak / 2**20


def plots_alone(result: Result) -> float | None:
    scores = result["plots_alone"]
    return None if scores is None else scores[HEADLINES["mAP"]]


def score(name: str, of: str = "scores") -> Column:
    return lambda result: result[of][name]


COLUMNS: dict[str, tuple[Column, int]] = {
    "films to train on": (lambda result: result["films"], 0),
    **{title: (score(name), 3) for title, name in HEADLINES.items()},
    "subset accuracy": (score("subset_accuracy"), 3),
    "ECE": (lambda result: result["ece"], 3),
    "mAP, plots alone": (plots_alone, 3),
    "seconds": (lambda result: result["seconds"], 0),
    "peak MiB": (mebibytes, 0),
}
"""What is shown of a result, with how many decimals."""


def render(results: Results, command: str, failed: Sequence[str] = ()) -> str:
    """The tables, with the command and the machine.

    Args:
        results: At least one.
        command: That was given.
        failed: A sentence for each job that failed.
    """
    seeds = sorted({seed for by_seed in results.values() for seed in by_seed})
    lines = [
        f"Test split, seed(s) {', '.join(map(str, seeds))}: mean ± standard deviation over seeds. "
        "Calibration and thresholds (micro-F1) are fitted on validation, alike for all.",
        "",
        "| | " + " | ".join(COLUMNS) + " |",
        "|---" + "|---:" * len(COLUMNS) + "|",
    ]
    for row, by_seed in results.items():
        fewer = "" if len(by_seed) == len(seeds) else f", seed(s) {', '.join(map(str, by_seed))}"
        cells = [
            spread([column(result) for result in by_seed.values()], decimals)
            for column, decimals in COLUMNS.values()
        ]
        lines.append(f"| {title(row)}{fewer} | {' | '.join(cells)} |")
    differences = list(difference_lines(results))
    if differences:
        lines += [
            "",
            "Paired differences with a 95 % interval (Student's t over seeds; of one seed, "
            "jackknife over its test films):",
            "",
            "| | " + " | ".join(HEADLINES) + " |",
            "|---" + "|---:" * len(HEADLINES) + "|",
            *differences,
        ]
    lines += ["", "    " + command, ""]
    machines = dict.fromkeys(r["machine"] for by_seed in results.values() for r in by_seed.values())
    if len(machines) > 1:
        lines.append("**Not all of this ran on one machine with one set of versions:**\n")
    lines += [f"- {machine}" for machine in machines]
    precisions = {
        row.recipe: next(iter(found.values()))["precision"] for row, found in results.items()
    }
    lines.append("- precision: " + ", ".join(f"{name} {kind}" for name, kind in precisions.items()))
    return "\n".join([*lines, *map("- not run: {}".format, failed), ""])


def title(row: Row) -> str:
    """The recipe and the flags, files by their names alone."""
    words = (Path(word).name if Path(word).is_file() else word for word in shlex.split(row.variant))
    return RECIPES[row.recipe] + (f", `{' '.join(words)}`" if row.variant else "")


def spread(values: Sequence[float | None], decimals: int) -> str:
    """Mean ± standard deviation; a dash where a recipe has no such figure."""
    known = np.array([value for value in values if value is not None], dtype=float)
    if not len(known):
        return "–"
    mean = f"{known.mean():,.{decimals}f}"
    return mean if len(known) < 2 else f"{mean} ± {known.std(ddof=1):,.{decimals}f}"


def difference_lines(results: Results) -> Iterator[str]:
    """The first recipe minus each other one, then each variant minus the first one."""
    first = next(iter(results))
    for row in results:
        best = row._replace(recipe=first.recipe)
        if row != best and best in results:
            films = f", {row.films:,} films" if row.films else ""
            name = f"{title(best)} − {RECIPES[row.recipe]}{films}"
            yield difference_line(name, results[best], results[row])
    for row in results:
        plain = row._replace(variant=first.variant)
        if row != plain and plain in results:
            name = f"{title(row)} − `{plain.variant}`"
            yield difference_line(name, results[row], results[plain])


def difference_line(name: str, a: Mapping[int, Result], b: Mapping[int, Result]) -> str:
    seeds = sorted(set(a) & set(b))
    cells = []
    for key in HEADLINES.values():
        difference = np.array([a[s]["scores"][key] - b[s]["scores"][key] for s in seeds])
        if len(seeds) > 1:
            interval = student_interval(difference)
        else:
            interval = paired_interval(a[seeds[0]], b[seeds[0]], key)
        cells.append(f"{difference.mean():+.3f} ({interval[0]:+.3f} to {interval[1]:+.3f})")
    return f"| {name} | {' | '.join(cells)} |"


def student_interval(difference: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of at least two values."""
    half = float(stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference))
    return float(difference.mean()) - half, float(difference.mean()) + half


def paired_interval(a: Result, b: Result, key: str) -> tuple[float, float]:
    """95 % interval of the difference of two models on the same test films."""
    of_a, of_b = (np.load(r["path"].with_suffix(".npz"), allow_pickle=False) for r in (a, b))
    predictions = [(arrays["y_pred"], arrays["y_prob"]) for arrays in (of_a, of_b)]
    return paired_differences(of_a["y_true"], *predictions)[key].interval


@dataclass(frozen=True)
class Point:
    """Of a learning curve."""

    films: int
    """To train on."""
    runs: Sequence[Mapping[str, float | None]]
    """The scores of each run by name, and its "seconds" of training, None if unknown."""


def learning_curves(results: Results) -> dict[str, list[Point]]:
    """By the title of a row."""
    curves: dict[str, list[Point]] = {}
    for row, by_seed in results.items():
        films = round(np.mean([result["films"] for result in by_seed.values()]))
        runs = [result["scores"] | {"seconds": result["seconds"]} for result in by_seed.values()]
        curves.setdefault(title(row), []).append(Point(films, runs))
    return curves


def draw_learning_curves(curves: Mapping[str, Sequence[Point]]) -> Figure:
    """Scores and seconds by the number of training films: means, lowest and highest shaded."""
    panels = HEADLINES | {"seconds of training": "seconds"}
    ticks: list[int] = []
    for count in sorted({point.films for points in curves.values() for point in points}):
        if not ticks or count > 1.1 * ticks[-1]:  # or the numbers would overlap
            ticks.append(count)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(12.6, 3.2), sharex=True)
        for axis, (name, key) in zip(axes, panels.items(), strict=True):
            for label, points in curves.items():
                values = [np.array([run[key] for run in p.runs], dtype=float) for p in points]
                films = [point.films for point in points]
                (line,) = axis.plot(films, [v.mean() for v in values], marker="o", label=label)
                lowest, highest = [v.min() for v in values], [v.max() for v in values]
                axis.fill_between(films, lowest, highest, color=line.get_color(), alpha=0.15)
            axis.set(title=name, xscale="log", xlabel="films to train on")
            axis.set_xticks(ticks, [f"{count:,}" for count in ticks])
            axis.minorticks_off()
        axes[-1].set_yscale("log")
        axes[-1].yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes[-1].yaxis.set_major_formatter("{x:,.0f}")
        axes[-1].yaxis.set_minor_locator(NullLocator())
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="upper center", ncols=len(names))
        figure.tight_layout(rect=(0, 0, 1, 0.93))
    return figure
