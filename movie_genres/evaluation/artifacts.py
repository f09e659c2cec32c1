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
from movie_genres.evaluation.card import other_rows, poster_rows, render_card
from movie_genres.evaluation.mistakes import render_mistakes
from movie_genres.evaluation.predictions import Predictions
from movie_genres.evaluation.results import Results
from movie_genres.files import write_json
from movie_genres.preparation.loading import Prepared
from movie_genres.reading.columns import PLOT, TITLE
from movie_genres.texts.fields import TextFields

_TABLE_COLUMNS = {
    "f1_micro": "F1 micro",
    "f1_macro": "F1 macro",
    "average_precision_macro": "mAP",
    "precision_micro": "precision",
    "recall_micro": "recall",
    "subset_accuracy": "subset acc.",
}


@dataclass(frozen=True)
class ModelMetadata:
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
    """The card's section on training, a line for each item; empty where nothing is known."""
    trained_on: str | None = None
    """Name of the data that it was trained on, empty if unknown; None: of those it is judged on."""

    def provenance(self, prepared: Prepared) -> dict[str, Any]:
        """What a model's config keeps of this as "provenance", so that a card of the same model,
        judged or tuned on other data, still says where it is from."""
        source, training, trained_on = prepared.report["source"], self.training, self.trained_on
        if trained_on is None:
            terms = source["license"] or "unknown"
            data = f"{source['description']}; licence of the texts: {terms}"
            training, trained_on = {"data": data, **training}, source["name"]
        return {
            "origin": f"{self.origin} {source['description']}",
            "base_model": self.base_model,
            "license": self.license,
            "training": dict(training),
            "trained_on": trained_on,
        }


def write_results(
    folder: Path,
    results: Results,
    prepared: Prepared,
    metadata: ModelMetadata,
    sweep: Figure | None = None,
) -> None:
    """Write a run's report; metrics.json last, so that a folder that has it is complete.

    Args:
        sweep: The threshold sweep on the validation split, where there is one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    test = prepared.splits["test"]
    predictions = Predictions(
        labels=results.labels,
        ids=list(test["id"]),
        texts=list(test["text"]),
        y_true=results.y_true,
        y_prob=results.y_prob,
        y_pred=results.y_pred,
    )
    predictions.write(folder / "predictions.parquet")
    _write_figures(folder / "figures", results, sweep)
    mistakes = render_mistakes(
        labels=results.labels,
        names=film_names(test),
        y_true=results.y_true,
        y_pred=results.y_pred,
        y_prob=results.y_prob,
    )
    (folder / "mistakes.md").write_text(mistakes, encoding="utf-8")
    metrics = results.metrics() | {"card": card_inputs(prepared, metadata)}
    (folder / "README.md").write_text(render_card(metrics), encoding="utf-8")
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
            results.intervals.per_label["f1"],
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


def card_inputs(prepared: Prepared, metadata: ModelMetadata) -> dict[str, Any]:
    """What the card says besides the results; metrics.json keeps it as "card"."""
    report, source = prepared.report, prepared.report["source"]
    names = [name.replace("_", " ") for name in prepared.fields.names]
    return {
        "model_name": metadata.name,
        "model_id": metadata.model_id,
        "origin": metadata.origin,
        "base_model": metadata.base_model,
        "license": metadata.license,
        "max_length": metadata.max_length,
        "training": dict(metadata.training),
        "trained_on": metadata.trained_on,
        "fields": " and ".join(", ".join(part) for part in (names[:-1], names[-1:]) if part),
        "text_form": text_form(prepared.fields),
        "dataset": {
            **{key: source[key] for key in ("name", "description", "license", "sha256")},
            **{key: report[key] for key in ("splits", "read", "kept")},
            "fingerprint": prepared.fingerprint,
            "language": report.get("language", []),
        },
    }


def text_form(fields: TextFields) -> str:
    """How a text is written for a model of these fields, such as `Title. Plot`."""
    return fields.compose({TITLE: "Title", PLOT: "Plot"} | {
        name: "…" for name in fields.names if name not in (TITLE, PLOT)
    })  # fmt: skip


def result_table(metrics: Mapping[str, Any]) -> str:
    """The test scores of the model and the baselines, as text in columns; then with posters."""
    table = _in_columns({"this model": metrics["test"]["chosen"]} | other_rows(metrics))
    if "posters" not in metrics:
        return table
    films = metrics["posters"]["films"]["test"]
    posters = _in_columns(poster_rows(metrics["posters"]))
    return f"{table}\n\nThe {films:,} test films with a poster:\n\n{posters}"


def _in_columns(rows: Mapping[str, Mapping[str, float]]) -> str:
    width = max(len(name) for name in rows) + 2
    lines = [" " * width + "".join(f"{title:>12}" for title in _TABLE_COLUMNS.values())]
    for name, scores in rows.items():
        lines.append(name.ljust(width) + "".join(f"{scores[c]:>12.3f}" for c in _TABLE_COLUMNS))
    return "\n".join(lines)


def closing_words(metrics: Mapping[str, Any], folder: Path) -> str:
    """The last lines of a run: its test scores, and where its files are."""
    return "\n".join(
        [
            f"\nTest split, threshold policy '{metrics['chosen_policy']}':\n",
            result_table(metrics),
            f"\nmodel    {folder / 'model'}",
            f"report   {folder / 'README.md'}, figures in {folder / 'figures'}",
            f"mistakes {folder / 'mistakes.md'}: the most confident ones; some are wrong labels",
            f'try it   python predict.py --model {folder / "model"} "A plot ..."',
        ]
    )
