"""Outcomes of a comparison -> RESULTS.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.comparison import TITLES, Comparison, Outcomes
from benchmarks.machine import describe
from movie_genres.evaluation.predictions import Predictions, compare

Outcome = Mapping[str, Any]
Interval = tuple[float, float]

HEADLINES = {"mAP": "average_precision_macro", "F1 micro": "f1_micro", "F1 macro": "f1_macro"}
"""By the name that tables have for them."""

SCORES = HEADLINES | {
    "F1 samples": "f1_samples",
    "subset accuracy": "subset_accuracy",
}
NONE = "–"
SIMPLETRANSFORMERS = (
    "- simpletransformers 0.70.8 installs beside datasets 5.2.0 and cannot train with it: it makes "
    'a tensor of `dataset["labels"]`, no longer a list (TypeError: only integer tensors of '
    "a single element can be converted to an index)."
)


@dataclass(frozen=True)
class Difference:
    """Of one score: this project minus another recipe on the same splits."""

    mean: float
    interval: Interval | None
    """95 %: Student's t over seeds; of one seed, bootstrap over its films where there is one."""

    def __str__(self) -> str:
        if self.interval is None:
            return f"{self.mean:+.3f}"
        return f"{self.mean:+.3f} ({self.interval[0]:+.3f} to {self.interval[1]:+.3f})"


def paired(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Mean difference by seed and its interval; an interval needs two seeds."""
    difference = ours - theirs
    mean = float(difference.mean())
    if len(difference) < 2:
        return Difference(mean, None)
    half = float(stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference))
    return Difference(mean, (mean - half, mean + half))


def curve(outcome: Outcome) -> list[tuple[float, float]]:
    """(seconds, validation mAP), the finished model last."""
    points = [(seconds, score) for seconds, _, score in outcome["curve"]]
    return [*points, (outcome["seconds"], outcome["validation_average_precision_macro"])]


def time_to_reach(points: Sequence[tuple[float, float]], level: float) -> float | None:
    """The first time of a curve at which the level is reached; None where it never is."""
    return next((seconds for seconds, score in points if score >= level), None)


def share_of_time(ours: Mapping[int, Outcome], theirs: Mapping[int, Outcome]) -> float | None:
    """Time in which ours reaches their final validation mAP by their time, median over seeds.

    None where in the median it is never reached.
    """
    shares = []
    for seed in sorted(set(ours) & set(theirs)):
        level = theirs[seed]["validation_average_precision_macro"]
        seconds = time_to_reach(curve(ours[seed]), level)
        shares.append(np.inf if seconds is None else seconds / theirs[seed]["seconds"])
    median = float(np.median(shares))
    return median if np.isfinite(median) else None


def score_differences(
    comparison: Comparison, outcomes: Outcomes, recipe: str
) -> dict[str, Difference]:
    """By name out of `SCORES`, under the tuner's thresholds."""
    ours, theirs = outcomes["ours"], outcomes[recipe]
    seeds = sorted(set(ours) & set(theirs))
    found = {
        name: paired(*(np.array([of[seed]["test"]["tuned"][score] for seed in seeds])
                       for of in (ours, theirs)))
        for name, score in SCORES.items()
    }  # fmt: skip
    if len(seeds) == 1:
        files = (comparison.outcome(seeds[0], name).predictions for name in ("ours", recipe))
        drawn = compare(*(Predictions.read(path) for path in files))
        for name, score in SCORES.items():
            if score in drawn:
                found[name] = Difference(found[name].mean, drawn[score].interval)
    return found


def render(
    comparison: Comparison, outcomes: Outcomes, command: str, failed: Sequence[str] = ()
) -> str:
    """The content of RESULTS.md.

    Args:
        outcomes: At least one.
        command: That was given.
        failed: A sentence for each job that failed.
    """
    settings = comparison.settings()
    seeds = sorted({seed for found in outcomes.values() for seed in found})
    lines = [
        f"# Recipes beside each other: {settings.source.rpartition('/')[2]}, "
        f"seed(s) {', '.join(map(str, seeds))}",
        "",
        "Test split; mean ± standard deviation over seeds. Every recipe's validation logits went "
        "through the same calibration and threshold tuner (micro-F1).",
        "",
        *_table(outcomes, _tuned_columns()),
        "",
        "As they come, uncalibrated and cut at 0.5; and under thresholds tuned for the score:",
        "",
        *_table(outcomes, _other_columns()),
        "",
        *_difference_table(comparison, outcomes),
        "",
        *target_lines(comparison, outcomes),
        "",
        "![Validation mAP over time](compare.png)",
        "",
        *_notes(comparison, outcomes),
        "",
        "    " + command,
        "",
        *_machines(outcomes),
        *([*map("- not run: {}".format, failed), ""] if failed else []),
    ]
    return "\n".join(lines)


Column = Callable[[Outcome], float | None]


def _tuned_columns() -> dict[str, tuple[Column, int]]:
    """Each with its number of decimals."""

    def score(name: str) -> Column:
        return lambda outcome: outcome["test"]["tuned"][name]

    def mebibytes(outcome: Outcome) -> float | None:
        peak = outcome["peak_memory_bytes"]
        return None if peak is None else peak / 2**20

    columns: dict[str, tuple[Column, int]] = {
        title: (score(name), 3) for title, name in SCORES.items()
    }
    columns["ECE"] = lambda outcome: outcome["ece"]["after"], 3
    columns["seconds"] = lambda outcome: outcome["seconds"], 0
    columns["useful tokens/s"] = lambda outcome: outcome["tokens_per_second"], 0
    columns["peak MiB"] = mebibytes, 0
    return columns


def _other_columns() -> dict[str, tuple[Column, int]]:
    def fixed(name: str) -> Column:
        return lambda outcome: outcome["test"]["fixed_0.5"][name]

    def own(name: str) -> Column:
        return lambda outcome: outcome["test"]["own_objective"][name]

    columns: dict[str, tuple[Column, int]] = {
        f"{title}, 0.5": (fixed(name), 3) for title, name in SCORES.items() if title != "mAP"
    }
    columns["ECE, uncalibrated"] = lambda outcome: outcome["ece"]["before"], 3
    columns["F1 macro, tuned for it"] = own("f1_macro"), 3
    columns["subset accuracy, tuned for it"] = own("subset_accuracy"), 3
    return columns


def _table(outcomes: Outcomes, columns: Mapping[str, tuple[Column, int]]) -> list[str]:
    lines = ["| recipe | " + " | ".join(columns) + " |", "|---" + "|---:" * len(columns) + "|"]
    seeds = {seed for found in outcomes.values() for seed in found}
    for recipe, found in outcomes.items():
        fewer = "" if set(found) == seeds else f", seed(s) {', '.join(map(str, sorted(found)))}"
        cells = [
            spread([column(outcome) for outcome in found.values()], decimals)
            for column, decimals in columns.values()
        ]
        lines.append(f"| {TITLES[recipe]}{fewer} | " + " | ".join(cells) + " |")
    return lines


def spread(values: Sequence[float | None], decimals: int) -> str:
    """Mean ± standard deviation; a dash where a recipe has no such figure."""
    known = np.array([value for value in values if value is not None], dtype=float)
    if not len(known):
        return NONE
    mean = f"{known.mean():,.{decimals}f}"
    return mean if len(known) < 2 else f"{mean} ± {known.std(ddof=1):,.{decimals}f}"


def _difference_table(comparison: Comparison, outcomes: Outcomes) -> list[str]:
    others = [recipe for recipe in outcomes if recipe != "ours"]
    if "ours" not in outcomes or not others:
        return []
    lines = [
        "This project minus the other, paired, 95 % interval (Student's t over seeds; of one seed, "
        "bootstrap over its films):",
        "",
        "| minus | " + " | ".join(SCORES) + " | its final mAP reached in |",
        "|---" + "|---:" * (len(SCORES) + 1) + "|",
    ]
    for recipe in others:
        if not set(outcomes["ours"]) & set(outcomes[recipe]):
            continue
        found = score_differences(comparison, outcomes, recipe)
        share = share_of_time(outcomes["ours"], outcomes[recipe])
        reached = "never" if share is None else f"{share:.2f} of its time"
        cells = [str(found[name]) for name in SCORES]
        lines.append(f"| {TITLES[recipe]} | " + " | ".join([*cells, reached]) + " |")
    return lines


def target_lines(comparison: Comparison, outcomes: Outcomes) -> list[str]:
    """What was aimed at, what was measured; nothing of recipes that are not there."""
    lines = ["| aim | measured | |", "|---|---:|---|"]
    for text, measured, met in _targets(comparison, outcomes):
        lines.append(f"| {text} | {measured} | {'met' if met else 'not met'} |")
    return lines if len(lines) > 2 else []


def _targets(comparison: Comparison, outcomes: Outcomes) -> list[tuple[str, str, bool]]:
    ours = outcomes.get("ours", {})
    together = {
        recipe: set(ours) & set(found) for recipe, found in outcomes.items() if recipe != "ours"
    }
    rows: list[tuple[str, str, bool]] = []
    for recipe, letter, most in (("stock", "(a)", 0.1), ("tuned", "(b)", 0.5)):
        if together.get(recipe):
            share = share_of_time(ours, outcomes[recipe])
            text = f"{letter}'s final validation mAP in at most {most:g} of its time"
            measured = "never" if share is None else f"{share:.3f}"
            rows.append((text, measured, share is not None and share <= most))
    if together.get("tfidf"):
        found = score_differences(comparison, outcomes, "tfidf")
        for name, least in (("mAP", 0.07), ("F1 micro", 0.04), ("F1 macro", 0.07)):
            interval = found[name].interval
            met = found[name].mean >= least and interval is not None and interval[0] > 0
            text = f"{name} at least {least:g} above TF-IDF, interval above 0"
            rows.append((text, str(found[name]), met))
    if together.get("stock"):
        seeds = together["stock"]

        def mean(of: Mapping[int, Outcome], key: str) -> float:
            return float(np.mean([of[seed][key] or 0 for seed in seeds]))

        pace = mean(ours, "tokens_per_second") / mean(outcomes["stock"], "tokens_per_second")
        rows.append(("useful tokens/s at least 2.5 times (a)'s", f"{pace:.2f}", pace >= 2.5))
        memory = [mean(of, "peak_memory_bytes") / 2**20 for of in (ours, outcomes["stock"])]
        text = "peak memory no higher than (a)'s"
        rows.append((text, "{:,.0f} beside {:,.0f} MiB".format(*memory), memory[0] <= memory[1]))
    return rows


def _notes(comparison: Comparison, outcomes: Outcomes) -> list[str]:
    settings = comparison.settings()
    lines = [
        f"- Texts are cut after {settings.max_length} tokens, but for TF-IDF, which reads them "
        "whole. Encoder: "
        + ("the packaged MiniLM" if settings.model_name_or_path == "default"
           else settings.model_name_or_path) + ".",
        "- Seconds: from the texts to the trained model, tokenising, the evaluation after each "
        "epoch and (f)'s first pass and probe included; loading the encoder, calibration, "
        "thresholds and the test split excluded.",
        "- Useful tokens/s: tokens read in training steps, padding not counted, by these seconds. "
        "(f) computes its frozen layers once and reads what they gave at every step, so its tokens "
        "are not all read by the whole encoder. Those of (d) are read once, without training.",
        "- Peak memory: of the process, or the GPU, until the model was trained.",
        "- \"Its final mAP reached in\": the first evaluation of (f) whose validation mAP is the "
        "other's final one or more, by the other's seconds, median over seeds. The fitted "
        "probe, which training starts from, is (f)'s first evaluation.",
    ]  # fmt: skip
    if "setfit" not in outcomes:
        lines.append("- (e): setfit was not run here (`--recipes setfit`).")
    lines.append(SIMPLETRANSFORMERS)
    tuning = comparison.tuning()
    if "tuned" in outcomes and tuning:
        facts = next(iter(outcomes["tuned"].values()))["facts"]
        seconds = sum(outcome["seconds"] for outcome in tuning)
        tried = ", ".join(
            "{learning_rate:g} over {epochs}".format(**outcome["facts"]) for outcome in tuning
        )
        lines.append(
            f"- (b): learning rate {facts['learning_rate']:g}, {facts['epochs']} epoch(s), the "
            f"best by validation mAP of seed {settings.tune_seed} of {tried}, and of their epochs; "
            f"its seconds are those of the one training, those of all {seconds:,.0f}."
        )
    return lines


def _machines(outcomes: Outcomes) -> list[str]:
    """A line per machine and set of versions; more than one means that times do not compare."""
    found: dict[str, list[str]] = {}
    for recipe, by_seed in outcomes.items():
        for seed, outcome in by_seed.items():
            packages = ", ".join(f"{n} {v}" for n, v in outcome["versions"].items())
            line = f"{describe(outcome['machine'])}; {packages}"
            found.setdefault(line, []).append(f"{recipe} ({outcome['precision']}), seed {seed}")
    lines = [f"- {line}" for line in found]
    precisions = {
        recipe: ", ".join(sorted({outcome["precision"] for outcome in by_seed.values()}))
        for recipe, by_seed in outcomes.items()
    }
    lines.append("- precision: " + "; ".join(f"{r} {p}" for r, p in precisions.items()))
    if len(found) > 1:
        lines.insert(0, "**Not all of this ran on one machine with one set of versions:**\n")
    return [*lines, ""]
