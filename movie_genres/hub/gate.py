"""The gate: whether a folder that goes to the Hub, or came back from it, is what was measured.

First the files are compared with the run: label list, thresholds, counts, scores, card, ONNX files.
Then a fresh process loads the model by plain `pipeline`, by `GenreClassifier`, from each ONNX file
and by the card's own code (subprocess_check.py), and its probabilities and decisions are compared.
Each check returns what differs, a sentence for each difference.
"""

from __future__ import annotations

import importlib.util
import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from movie_genres.decisions.scores import compute_scores, confusion_counts
from movie_genres.decisions.thresholds import decide
from movie_genres.errors import InputError, one_line
from movie_genres.evaluation.card import render_card
from movie_genres.files import file_sha256
from movie_genres.hub.subprocess_check import run_subprocess_check

TOLERANCE_ON_CPUS, TOLERANCE_ACROSS_DEVICES = 1e-5, 1e-4
"""Largest allowed difference of a probability; the second where it was measured, or is checked, on
another device than a CPU, which adds up a float32 product in another order. A probability that is
this near to its threshold may be decided either way."""
ONNX_TOLERANCE = 1e-4
"""Likewise for the float32 ONNX file: its kernels only round differently."""
CHECKED_FILMS = 200
"""Spread evenly over the test split; a few seconds for a small model on a CPU."""

_METRICS = {"per_genre", "thresholds", "never_empty", "test", "baselines", "intervals"}


@dataclass(frozen=True)
class Location:
    """Where the files to check are: in a staged folder, or on the Hub at a commit."""

    folder: Path
    """Where they can be read."""
    repo_id: str
    """The name to load them by: a path relative to `working_directory`, or a Hub id."""
    commit: str | None
    """On the Hub; None for a staged folder."""
    working_directory: Path
    """Of the process that loads them."""
    environment: Mapping[str, str]
    """Variables that it needs besides this process's."""


@dataclass(frozen=True)
class Measured:
    """What a run measured on its test split."""

    metrics: dict[str, Any]
    """The content of metrics.json."""
    texts: list[str]
    y_true: np.ndarray
    """Shape (n_films, n_labels)."""
    y_prob: np.ndarray
    """Same shape."""

    @classmethod
    def of_run(cls, run: Path) -> Measured:
        """Read metrics.json and predictions.parquet.

        Raises:
            InputError: If they are damaged, or of an earlier version.
        """
        metrics = _read_json(run / "metrics.json")
        if not metrics.keys() >= _METRICS:
            raise InputError(f"{run / 'metrics.json'} was not written by finetune.py")
        if "card" not in metrics:
            raise InputError(
                f"{run / 'metrics.json'} was written by an earlier version, without what the card "
                "is rendered from; train it again"
            )
        path = run / "predictions.parquet"
        try:
            rows = pd.read_parquet(path)
            y_true, y_prob = (np.stack(rows[name].tolist()) for name in ("y_true", "probabilities"))
            return cls(metrics, rows["text"].tolist(), y_true, y_prob)
        except (ValueError, LookupError) as error:
            raise InputError(f"{path} is damaged: {error}") from None

    @property
    def labels(self) -> list[str]:
        return list(self.metrics["per_genre"])

    @property
    def thresholds(self) -> np.ndarray:
        return np.array([self.metrics["thresholds"][label] for label in self.labels])

    def tolerance(self, checked_on: Iterable[str]) -> float:
        """Largest difference of a probability that comes from the devices alone.

        Args:
            checked_on: Types of the devices that compute the probabilities anew.
        """
        measured_on = self.metrics.get("measured_on", "cpu")  # older runs have none
        on_cpus = {measured_on, *checked_on} == {"cpu"}
        return TOLERANCE_ON_CPUS if on_cpus else TOLERANCE_ACROSS_DEVICES

    def decide(self, y_prob: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """As the run decided."""
        return decide(y_prob, thresholds, never_empty=self.metrics["never_empty"])

    @property
    def checked_rows(self) -> np.ndarray:
        """Rows of the films that the subprocess check predicts."""
        return np.unique(np.linspace(0, len(self.texts) - 1, CHECKED_FILMS).astype(int))


def check_model(location: Location, measured: Measured) -> list[str]:
    """Compare a model's files and what it predicts with what was measured."""
    onnx = _read_json(location.folder / "metrics.json").get("onnx") or {}
    found = (
        check_files(location.folder, measured)
        or check_card(location.folder, location.repo_id)
        or check_onnx_files(location.folder, onnx)
    )
    if found:
        return found
    with tempfile.TemporaryDirectory() as scratch:
        snippet = Path(scratch) / "snippet.py"
        code = card_code((location.folder / "README.md").read_text(encoding="utf-8"))
        snippet.write_text(code, encoding="utf-8")
        request = {
            "check": "model", "repo_id": location.repo_id, "revision": location.commit,
            "snippet": str(snippet),
            "texts": [measured.texts[row] for row in measured.checked_rows], "onnx": list(onnx),
        }  # fmt: skip
        answers = run_subprocess_check(request, location.working_directory, location.environment)
    if isinstance(answers, str):
        return [answers]
    return check_answers(answers, measured) + _check_onnx_answers(answers, measured, onnx)


def check_dataset(location: Location, counts: Mapping[str, int]) -> list[str]:
    """Compare the rows that `load_dataset` finds in each split with those that were prepared."""
    request = {"check": "dataset", "repo_id": location.repo_id, "revision": location.commit}
    found = run_subprocess_check(request, location.working_directory, location.environment)
    if isinstance(found, str):
        return [found]
    if found != dict(counts):
        return [f"load_dataset finds {found} rows, {dict(counts)} were prepared"]
    return []


def check_files(folder: Path, measured: Measured) -> list[str]:
    """Compare config.json with metrics.json, and metrics.json with predictions.parquet."""
    config = _read_json(folder / "config.json")
    id2label = config.get("id2label") or {}
    labels = [id2label[index] for index in sorted(id2label, key=int)]
    if labels != measured.labels:
        return [
            f"the genres are {', '.join(labels)} in config.json, {', '.join(measured.labels)} in "
            "metrics.json"
        ]
    stored = config.get("thresholds") or {}
    found = [
        f"the threshold of {name} is {stored.get(name)} in config.json, {threshold} in metrics.json"
        for name, threshold in measured.metrics["thresholds"].items()
        if stored.get(name) != threshold
    ]
    if bool(config.get("never_empty")) != measured.metrics["never_empty"]:
        found.append("never_empty differs between config.json and metrics.json")
    y_pred = measured.decide(measured.y_prob, measured.thresholds)
    for cell, counts in confusion_counts(measured.y_true, y_pred).items():
        for name, count in zip(labels, counts.tolist(), strict=True):
            row = measured.metrics["per_genre"][name]
            if row[cell] != count:
                found.append(
                    f"{cell} of {name} is {row[cell]} in metrics.json, {count} by "
                    "predictions.parquet"
                )
    films = measured.metrics["card"]["dataset"]["splits"]["test"]
    if films != len(measured.texts):
        found.append(
            f"the test split has {films} films in metrics.json, {len(measured.texts)} in "
            "predictions.parquet"
        )
    limit = _read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    if limit != measured.metrics["card"]["max_length"]:
        found.append(
            f"{measured.metrics['card']['max_length']} tokens are read by metrics.json, {limit} by "
            "sentence_bert_config.json"
        )
    scores = compute_scores(measured.y_true, y_pred, measured.y_prob)
    return found + [
        f"{name} is {value} in metrics.json, {scores[name]} by predictions.parquet"
        for name, value in measured.metrics["test"]["chosen"].items()
        if name in scores and not np.isclose(value, scores[name], atol=TOLERANCE_ON_CPUS, rtol=0)
    ]


def check_onnx_files(folder: Path, onnx: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Compare the files in onnx/ with those whose scores are in metrics.json.

    Args:
        onnx: As `onnx_export.add_onnx` returns it.

    Raises:
        InputError: If there are such files, but nothing to run them with.
    """
    measured = {row["file"]: row.get("sha256") for row in onnx.values()}
    present = {f"onnx/{path.name}": path for path in sorted((folder / "onnx").glob("*.onnx"))}
    remedy = "; --onnx exports the model again"
    found = [
        f"metrics.json has no scores of {name}{remedy}, or remove the file"
        for name in present.keys() - measured.keys()
    ]
    found += [
        f"{name}, whose scores are in metrics.json, is missing{remedy}"
        for name in measured.keys() - present.keys()
    ]
    found += [
        f"{name} is not the file whose scores are in metrics.json{remedy}"
        for name, path in present.items()
        if name in measured and file_sha256(path) != measured[name]
    ]
    if present and not found and importlib.util.find_spec("onnxruntime") is None:
        raise InputError(
            "the files in onnx/ cannot be checked without onnxruntime: python -m pip install -r "
            "requirements-onnx.txt"
        )
    return found


def check_card(folder: Path, repo_id: str | None = None) -> list[str]:
    """Compare README.md with the card that metrics.json gives.

    Args:
        repo_id: As for `render_card`.

    Returns:
        The first line that differs, if one does.

    Raises:
        InputError: If metrics.json is damaged.
    """
    try:
        expected = render_card(_read_json(folder / "metrics.json"), repo_id)
    except (LookupError, TypeError, ValueError, AttributeError, jinja2.UndefinedError) as error:
        raise InputError(
            f"metrics.json is damaged, no card can be rendered from it: {one_line(error)}"
        ) from None
    content = (folder / "README.md").read_text(encoding="utf-8")
    lines = zip_longest(content.splitlines(), expected.splitlines(), fillvalue="")
    for number, (line, wanted) in enumerate(lines, start=1):
        if line != wanted:
            return [f"line {number} of README.md is {line!r}, but {wanted!r} by metrics.json"]
    return []


def card_code(content: str) -> str:
    """The Python code of a card, as a reader would paste it."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", content, re.MULTILINE | re.DOTALL))


def check_answers(answers: Mapping[str, Any], measured: Measured) -> list[str]:
    """Compare what the subprocess check predicted with what was measured.

    Args:
        answers: Of `subprocess_check.predict_by_name`.
    """
    expected = measured.y_prob[measured.checked_rows]
    tolerance = measured.tolerance(answers["devices"])
    near = np.abs(expected - measured.thresholds) <= tolerance
    decided = measured.decide(expected, measured.thresholds)
    thresholds = _columns([answers["thresholds"]], measured.labels)[0]
    found = []
    for way in ("pipeline", "classifier"):
        y_prob = _columns(answers[way], measured.labels)
        difference = float(np.abs(y_prob - expected).max())
        if not difference <= tolerance:  # NaN is a difference
            found.append(
                f"probabilities by {way} differ from predictions.parquet by up to {difference:.2g} "
                f"(allowed: {tolerance:g})"
            )
        changed = (measured.decide(y_prob, thresholds) != decided) & ~near
        if changed.any():
            found.append(
                f"{changed.sum()} of {changed.size} decisions by {way} differ from those measured"
            )
    if not answers["same_tokens"]:
        found.append("tokenizer.json by itself gives other tokens than the model's tokenizer")
    return found + _check_snippet(answers, measured)


def _check_onnx_answers(
    answers: Mapping[str, Any], measured: Measured, onnx: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Compare what each ONNX file and the card's code for it predicted with what was measured.

    In int8 a probability depends on the other texts of its batch, and here the batches are others
    than those of the whole test split: up to twice the difference measured there is allowed.
    """
    expected, found = measured.y_prob[measured.checked_rows], []
    for precision, row in onnx.items():
        allowed = ONNX_TOLERANCE if precision == "float32" else 2 * row["largest_difference"]
        y_prob = _columns(answers["onnx"][precision], measured.labels)
        difference = float(np.abs(y_prob - expected).max())
        if not difference <= allowed:
            found.append(
                f"probabilities by {row['file']} differ from predictions.parquet by up to "
                f"{difference:.2g}"
            )
    if printed := answers["snippet_onnx_scores"]:
        film, scores = (_columns([row], measured.labels) for row in (answers["film"], printed))
        if not np.abs(film - scores).max() <= ONNX_TOLERANCE:
            found.append("the card's code for ONNX Runtime predicts other probabilities")
    return found


def _check_snippet(answers: Mapping[str, Any], measured: Measured) -> list[str]:
    """Compare the card's code with the classifier, on the film in the card."""
    film, printed = (
        _columns([answers[key]], measured.labels)[0] for key in ("film", "snippet_scores")
    )
    decided = measured.decide(film[None], measured.thresholds)[0]
    genres = {name for name, given in zip(measured.labels, decided, strict=True) if given}
    tolerance = measured.tolerance(answers["devices"])
    near = np.abs(film - measured.thresholds) <= tolerance
    same = np.abs(film - printed).max() <= tolerance
    if same and (set(answers["snippet_genres"]) == genres or near.any()):
        return []
    return ["the card's code predicts other genres or probabilities than the model"]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path.name} is damaged: {error}") from None


def _columns(rows: list[dict[str, float]], labels: list[str]) -> np.ndarray:
    """Values by genre as an array in label order; NaN where a genre is missing."""
    return np.array([[row.get(label, np.nan) for label in labels] for row in rows])
