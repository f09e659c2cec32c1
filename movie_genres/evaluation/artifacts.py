"""Results -> the files of a run: metrics.json, predictions.parquet, figures/, README.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from datasets import Dataset
from matplotlib.figure import Figure

from movie_genres.decisions.scores import confusion_counts
from movie_genres.evaluation import plots
from movie_genres.evaluation.card import (
    BASELINE_NAMES,
    RARE,
    card_data,
    citations,
    other_rows,
    render_card,
    tendencies,
)
from movie_genres.evaluation.mistakes import render_mistakes
from movie_genres.evaluation.predictions import Predictions
from movie_genres.evaluation.results import Results
from movie_genres.files import write_json
from movie_genres.preparation.fields import TextFields
from movie_genres.preparation.loading import Prepared
from movie_genres.reading.columns import PLOT, TITLE

_TABLE_COLUMNS = {
    "f1_micro": "F1 micro",
    "f1_macro": "F1 macro",
    "average_precision_macro": "mAP",
    "precision_micro": "precision",
    "recall_micro": "recall",
    "subset_accuracy": "subset acc.",
}


@dataclass(frozen=True)
class ModelFacts:
    """What the card says about a model besides its results."""

    name: str
    model_id: str
    """What the card's snippet loads: a folder as seen from the card, or a Hub id."""
    origin: str
    """How it came about, as the start of a sentence that ends with the data."""
    base_model: str | None
    """A Hub id, or None where only a local folder is known."""
    license: str | None
    max_length: int
    training: Mapping[str, str]
    """Lines of the card's section on training."""


def write_results(
    folder: Path,
    results: Results,
    prepared: Prepared,
    facts: ModelFacts,
    sweep: Figure | None = None,
) -> None:
    """Write metrics.json last, so that a folder with it is complete.

    Args:
        sweep: The threshold sweep on the validation split, where one was made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    test = prepared.splits["test"]
    Predictions(
        results.labels, list(test["id"]), list(test["text"]),
        results.y_true, results.y_prob, results.y_pred,
    ).write(folder / "predictions.parquet")  # fmt: skip
    _write_figures(folder / "figures", results, sweep)
    mistakes = render_mistakes(
        results.labels, film_names(test), results.y_true, results.y_pred,
        results.y_prob,
    )  # fmt: skip
    (folder / "mistakes.md").write_text(mistakes, encoding="utf-8")
    metrics = results.metrics()
    (folder / "README.md").write_text(run_card(metrics, prepared, facts), encoding="utf-8")
    write_json(folder / "metrics.json", metrics)


def film_names(rows: Dataset) -> list[str]:
    """Titles, or how a film without one begins."""
    return [title or text[:60] for title, text in zip(rows["title"], rows["text"], strict=True)]


def _write_figures(folder: Path, results: Results, sweep: Figure | None) -> None:
    folder.mkdir(exist_ok=True)
    y_true, y_pred, y_prob, labels = (
        results.y_true,
        results.y_pred,
        results.y_prob,
        results.labels,
    )
    per_genre = results.per_genre()
    figures = {
        "confusion_matrices": plots.plot_confusion_matrices(
            confusion_counts(y_true, y_pred),
            labels,
            title=f"Decisions on the {len(y_true):,} test films",
        ),
        "precision_recall": plots.plot_precision_recall(y_true, y_prob, y_pred, labels),
        "genre_f1": plots.plot_genre_f1(
            [float(per_genre[name]["f1"] or 0) for name in labels],
            [int(per_genre[name]["support"] or 0) for name in labels],
            labels,
            "F1 of each genre on the test split",
        ),
        "co_confusion": plots.plot_co_confusion(y_true, y_pred, labels),
        "reliability": plots.plot_reliability(y_true, results.y_prob_before, y_prob),
        "reliability_per_genre": plots.plot_genre_reliability(
            y_true, results.y_prob_before, y_prob, labels
        ),
    }
    if sweep is not None:
        figures["threshold_sweep"] = sweep
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png")
        plt.close(figure)


def run_card(metrics: Mapping[str, Any], prepared: Prepared, facts: ModelFacts) -> str:
    """The filled model card of a run; every figure in it comes from `metrics`."""
    source = prepared.report["source"]
    data = card_data(
        metrics,
        model_name=facts.name,
        base_model=facts.base_model,
        model_license=facts.license,
        dataset_name=source["name"],
        dataset_revision=prepared.fingerprint,
    )
    names = [name.replace("_", " ") for name in prepared.fields.names]
    model = {
        "model_name": facts.name,
        "model_id": facts.model_id,
        "origin": facts.origin,
        "max_length": facts.max_length,
        "training": dict(facts.training),
        "fields": " and ".join(", ".join(part) for part in (names[:-1], names[-1:]) if part),
        "text_form": text_form(prepared.fields),
        "dataset": _dataset_facts(prepared.report),
        "citations": citations(source["name"], facts.base_model),
    }
    return render_card(data, model | _result_variables(metrics))


def text_form(fields: TextFields) -> str:
    """How a text is written for a model of these fields, such as `Title. Plot`."""
    return fields.compose({TITLE: "Title", PLOT: "Plot"} | {
        name: "…" for name in fields.names if name not in (TITLE, PLOT)
    })  # fmt: skip


def _dataset_facts(report: Mapping[str, Any]) -> dict[str, Any]:
    source = report["source"]
    return {
        "description": source["description"],
        "license": source["license"] or "that of the source; not stated here",
        "sha256": source["sha256"],
        **{key: report[key] for key in ("splits", "read", "kept")},
    }


def _result_variables(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What the template takes from metrics.json."""
    per_genre = metrics["per_genre"]
    method = (metrics["selection"] or {}).get("calibration", {}).get("adopted", "stored")
    return {
        "labels": list(per_genre),
        "chosen": metrics["test"]["chosen"],
        "others": other_rows(metrics),
        "intervals": metrics["intervals"]["chosen"],
        "differences": {
            BASELINE_NAMES[n]: s for n, s in metrics["differences"].items() if n != "prior"
        },
        "never_empty": metrics["never_empty"],
        "objectives": metrics["objectives"],
        "policies": {n: s for n, s in metrics["test"].items() if n != "chosen"},
        "policy": metrics["chosen_policy"],
        "decision_text": _decision_text(metrics),
        "per_genre": per_genre,
        "calibration": metrics["calibration"],
        "calibration_text": _CALIBRATION_TEXT[method],
        "tendencies": tendencies(per_genre),
        "rare_films": RARE,
    }


def _decision_text(metrics: Mapping[str, Any]) -> str:
    if metrics["chosen_policy"] == "stored":
        return "The thresholds are those that the model carries; nothing was fitted on this data."
    return (
        f"Thresholds were fitted on the validation split for `{metrics['objective']}`; the policy "
        f"`{metrics['chosen_policy']}` was chosen by cross-validation inside that split, with the "
        "calibration nested in it. The test split was read once, at the end."
    )


_CALIBRATION_TEXT = {
    "none": "only the shift of the class weights was undone; more did not lower the "
    "cross-validated log-loss.",
    "temperature": "one temperature for all genres, folded into the last layer.",
    "affine": "slope and shift of the logit per genre, folded into the last layer.",
    "stored": "as stored with the model.",
}


def result_table(metrics: Mapping[str, Any]) -> str:
    """The test scores of the model and the baselines, as text in columns."""
    rows = {"this model": metrics["test"]["chosen"]} | other_rows(metrics)
    width = max(len(name) for name in rows) + 2
    lines = [" " * width + "".join(f"{title:>12}" for title in _TABLE_COLUMNS.values())]
    for name, scores in rows.items():
        lines.append(name.ljust(width) + "".join(f"{scores[c]:>12.3f}" for c in _TABLE_COLUMNS))
    return "\n".join(lines)


def closing_words(metrics: Mapping[str, Any], folder: Path) -> str:
    """What a person wants to know at the end of a run: the scores, and what lies where."""
    return "\n".join(
        [
            f"\nTest split, thresholds by policy '{metrics['chosen_policy']}':\n",
            result_table(metrics),
            f"\nmodel    {folder / 'model'}",
            f"report   {folder / 'README.md'}, figures in {folder / 'figures'}",
            f"mistakes {folder / 'mistakes.md'}: the surest ones; some are the labels' own",
            f'try it   python predict.py --model {folder / "model"} "A plot ..."',
        ]
    )
