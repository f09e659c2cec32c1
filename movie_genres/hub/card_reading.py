"""A filled model card, read again: its code, its figures, and its name on the Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from huggingface_hub import ModelCard, ModelCardData

from movie_genres.errors import InputError
from movie_genres.evaluation.card import MODEL_INDEX, other_rows

LOCAL_MODEL = 'model="model"'
"""How the card in a run's folder loads the model beside it."""

_SCORES = {
    "F1 micro": "f1_micro",
    "F1 macro": "f1_macro",
    "mAP": "average_precision_macro",
    "precision": "precision_micro",
    "recall": "recall_micro",
    "subset accuracy": "subset_accuracy",
    "genres per film": "labels_per_row",
}
_GENRE_FIGURES = {
    "films": "support",
    "precision": "precision",
    "recall": "recall",
    "F1": "f1",
    "average precision": "average_precision",
    "threshold": "threshold",
    "ECE": "ece",
}
"""Column of the card's table -> key in metrics.json."""

_Rows = dict[str, dict[str, str]]
"""Cells of a table by the first cell of their row and the title of their column."""


def published_card(content: str, repo_id: str) -> str:
    """The card of a run under its name on the Hub: title, model-index and the code's model.

    Raises:
        InputError: If the card's code does not load the run's own model.
    """
    card, data = _parsed(content)
    if card.text.count(LOCAL_MODEL) != 1:
        raise InputError(f"the card does not load {LOCAL_MODEL} exactly once: it is not a run's")
    name = repo_id.split("/")[-1]
    card.text = card.text.replace(LOCAL_MODEL, f'model="{repo_id}"')
    card.text = card.text.replace(f"# {data.model_name}\n", f"# {name}\n", 1)
    data.model_name = name
    return f"---\n{data.to_yaml()}\n---\n{card.text}"


def _parsed(content: str) -> tuple[ModelCard, ModelCardData]:
    try:
        card = ModelCard(content)
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"the front matter of README.md cannot be read: {reason}") from None
    assert isinstance(card.data, ModelCardData)  # what a ModelCard is typed to have is any card's
    return card, card.data


def card_code(content: str) -> str:
    """The Python code of a card, as a reader would paste it."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", content, re.MULTILINE | re.DOTALL))


def stale_figures(content: str, metrics: Mapping[str, Any]) -> list[str]:
    """Compare a card's figures with metrics.json.

    Returns:
        A sentence for each figure that differs or is not there.
    """
    chosen = metrics["test"]["chosen"]
    results = _parsed(content)[1].eval_results or []
    index = {result.metric_name: result.metric_value for result in results}
    found = [
        f"{title} is {index.get(title)} in the card's metadata, {chosen[score]:.4f} in metrics.json"
        for score, (_, title) in MODEL_INDEX.items()
        if index.get(title) != round(chosen[score], 4)
    ]
    tables = dict(_tables(content))
    headline = {"this model": chosen} | other_rows(metrics)
    ranges = {
        name: f"{low:.3f}–{high:.3f}"
        for name, (low, high) in metrics["intervals"]["chosen"].items()
    }
    policies = {name: scores for name, scores in metrics["test"].items() if name != "chosen"}
    on_test = _starting(tables, "test split")
    found += _differences(on_test, _SCORES, headline)
    shown = next((cells for name, cells in on_test.items() if "interval" in name), {})
    found += [
        f"the interval of {title} is {shown.get(title)} in the card, {ranges[key]} in metrics.json"
        for title, key in _SCORES.items()
        if title in on_test.get("this model", {})
        and key in ranges
        and shown.get(title) != ranges[key]
    ]
    found += _differences(_starting(tables, "policy"), _SCORES, policies)
    found += _differences(_starting(tables, "genre"), _GENRE_FIGURES, metrics["per_genre"])
    return found


def _tables(content: str) -> Iterator[tuple[str, _Rows]]:
    """The card's tables, by the title of their first column."""
    for block in re.findall(r"(?:^\|.*\n)+", content, re.MULTILINE):
        lines = [
            [cell.strip(" *") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.splitlines()
        ]
        header, rows = lines[0], lines[2:]
        yield header[0], {row[0]: dict(zip(header[1:], row[1:], strict=False)) for row in rows}


def _starting(tables: Mapping[str, _Rows], start: str) -> _Rows:
    return next((rows for title, rows in tables.items() if title.startswith(start)), {})


def _differences(
    rows: _Rows, columns: Mapping[str, str], records: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    found = []
    for name, scores in records.items():
        cells = rows.get(name.replace("|", "\\|")) or rows.get(f"{name} (chosen)")
        if cells is None:
            found.append(f"the card has no row for {name}")
            continue
        for title, key in columns.items():
            if title in cells and cells[title] != _printed(key, scores[key]):
                found.append(
                    f"{title} of {name} is {cells[title]} in the card, {scores[key]} in "
                    "metrics.json"
                )
    return found


def _printed(key: str, value: float | int | None) -> str:
    """A figure as the template prints it."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.2f}" if key == "labels_per_row" else f"{value:.3f}"
