"""Films whose labels look wrong or incomplete, by confident learning (Northcutt et al., 2021).

Each film is judged by a TF-IDF model that was fitted without it; `cleanlab` finds the labels that
its probabilities contradict. It is a list to look at, not a list of errors.
"""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from movie_genres.errors import InputError
from movie_genres.preparation.splits import SPLITS

FOLDS = 5
LISTED = 0.05
"""Share of the films that is listed at most: the model behind it is weak, and doubts many more."""
MOST_FILMS = 20_000
"""Films that are judged, evenly over the data: the vectors of more would not fit into memory."""


def check_installed() -> None:
    """Raises: InputError: If cleanlab is missing."""
    if importlib.util.find_spec("cleanlab") is None:
        raise InputError("--audit needs cleanlab; run: pip install cleanlab==2.9.0")


def write_audit(folder: Path, labels: list[str], seed: int) -> int:
    """Write audit.csv into a prepared folder, the most doubtful films first.

    Columns: split, id, title, genres, looks_wrong (genres that the text does not support),
    looks_missing (genres that it does), quality (in [0, 1], low = doubtful).

    Returns:
        How many films it lists.
    """
    films = _read(folder)
    y = np.array(films["labels"].to_pylist(), dtype=np.int8)
    wrong, quality = find_issues(films["text"].to_pylist(), y, seed)
    listed = np.flatnonzero(wrong.any(axis=1))
    listed = listed[np.argsort(quality[listed], kind="stable")][: round(LISTED * len(films))]
    with (folder / "audit.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)  # its CR LF, or a lone CR would not be quoted
        writer.writerow(
            ["split", "id", "title", "genres", "looks_wrong", "looks_missing", "quality"]
        )
        for row in listed.tolist():
            film = films.slice(row, 1).to_pylist()[0]
            contradicted = [
                "|".join(labels[i] for i in np.flatnonzero(wrong[row] & (y[row] == given)))
                for given in (1, 0)
            ]
            genres = "|".join(film["genres"])
            cells = [film["split"], film["id"], film["title"], genres, *contradicted]
            writer.writerow([*cells, f"{quality[row]:.3f}"])
    return len(listed)


def find_issues(texts: list[str], y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the labels that out-of-fold probabilities contradict.

    Returns:
        bool, shape (n_rows, n_labels); and the quality of each row's labels in [0, 1].
    """
    from cleanlab.multilabel_classification import get_label_quality_scores
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

    y_prob = _out_of_fold(texts, y, seed)
    lists = [np.flatnonzero(row).tolist() for row in y]
    issues = find_multilabel_issues_per_class(lists, y_prob, n_jobs=1)
    return np.asarray(issues), get_label_quality_scores(lists, y_prob)


def _out_of_fold(texts: list[str], y: np.ndarray, seed: int) -> np.ndarray:
    folds = np.random.default_rng(seed).permutation(len(texts)) % FOLDS
    # Here, because they take a second to import, and most preparations are not audited.
    from scipy.special import expit

    from movie_genres.evaluation.baselines import tfidf_logits

    y_prob = np.empty(y.shape)
    for fold in range(FOLDS):
        fitted, judged = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        train = [texts[row] for row in fitted]
        (logits,) = tfidf_logits(train, y[fitted], [texts[row] for row in judged])
        y_prob[judged] = expit(logits)
    return y_prob


def _read(folder: Path) -> pa.Table:
    columns = ["id", "title", "text", "genres", "labels"]
    parts = []
    for split in SPLITS:
        part = pq.read_table(folder / "data" / f"{split}-00000-of-00001.parquet", columns=columns)
        parts.append(part.append_column("split", pa.array([split] * len(part))))
    films = pa.concat_tables(parts).replace_schema_metadata()
    step = -(-len(films) // MOST_FILMS)
    return films.take(pa.array(np.arange(0, len(films), step)))
