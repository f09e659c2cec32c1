"""The folder that prepare_dataset.py wrote, opened and checked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict
from datasets.exceptions import DatasetGenerationError

from movie_genres.errors import InputError
from movie_genres.preparation.splits import SPLITS
from movie_genres.reading.columns import PLOT
from movie_genres.texts.fields import TextFields

_COLUMNS = {"id", "title", "text", "genres", "labels"}
_REPORT_KEYS = {"read", "kept", "splits", "genres", "source"}


@dataclass(frozen=True)
class Prepared:
    """What prepare_dataset.py wrote."""

    splits: DatasetDict
    """Columns id, title, text, genres, labels."""
    labels: list[str]
    """Genre names in the order of `labels`' columns."""
    report: dict[str, Any]
    fingerprint: str
    """SHA-256 of the label list and the splits' files."""

    def y(self, split: str) -> np.ndarray:
        """Multi-hot labels of a split, float32, NaN where unknown, shape (n_rows, n_labels)."""
        return np.asarray(self.splits[split]["labels"], dtype=np.float32)

    def texts(self, split: str) -> list[str]:
        return list(self.splits[split]["text"])

    def plots(self, split: str) -> list[str]:
        """What the model reads if only the plot of a film is given."""
        rows, fields = self.splits[split], self.fields
        if "plot" in rows.column_names:
            return [fields.compose({PLOT: plot}) for plot in rows["plot"]]
        if not fields.is_title_and_plot:
            return self.texts(split)  # prepared by a version that did not keep the plots
        return [
            fields.without_title(text, title)
            for text, title in zip(rows["text"], rows["title"], strict=True)
        ]

    @property
    def fields(self) -> TextFields:
        """Of which `text` is composed."""
        return TextFields.from_json(self.report.get("text_fields"), "the prepared dataset")


def load_prepared(folder: Path) -> Prepared:
    """Open the folder that prepare_dataset.py wrote.

    Raises:
        InputError: If it is not such a folder, or holds rows whose labels do not fit labels.json.
    """
    if folder.is_file():
        raise InputError(
            f"{folder} is a file, not a prepared dataset; prepare it first: python "
            f"prepare_dataset.py --source {folder} --output-dir data/{folder.name.split('.')[0]}"
        )
    files = {split: folder / "data" / f"{split}-00000-of-00001.parquet" for split in SPLITS}
    required = [folder / "labels.json", folder / "report.json", *files.values()]
    missing = [path for path in required if not path.is_file()]
    if missing:
        raise InputError(
            f"{folder} is no prepared dataset ({missing[0].name} is missing); make one: "
            f"python prepare_dataset.py --output-dir {folder}"
        )
    try:
        labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        splits = {split: Dataset.from_parquet(str(path)) for split, path in files.items()}
    except (ValueError, pa.ArrowException, DatasetGenerationError) as error:
        raise InputError(f"{folder} is damaged ({error}); prepare it anew") from None
    digest = hashlib.sha256(json.dumps(labels).encode())
    for path in files.values():
        digest.update(path.read_bytes())
    if not set(report) >= _REPORT_KEYS:
        raise InputError(f"{folder}/report.json is not one that prepare_dataset.py wrote")
    for split, rows in splits.items():
        _check_split(folder, split, rows, len(labels))
    return Prepared(DatasetDict(splits), labels, report, digest.hexdigest())


def _check_split(folder: Path, split: str, rows: Dataset, n_labels: int) -> None:
    absent = _COLUMNS - set(rows.column_names)
    if absent:
        raise InputError(f"{folder}: {split} lacks the column(s) {', '.join(sorted(absent))}")
    if len(rows) < 2:
        raise InputError(f"{folder}: {split} has {len(rows)} film(s), too few to evaluate on")
    if {len(row) for row in rows["labels"]} != {n_labels}:
        raise InputError(f"{folder}: {split} does not have {n_labels} labels in every row")
    labels = np.asarray(rows["labels"], dtype=np.float32)
    if not (np.isin(labels, (0, 1)) | np.isnan(labels)).all():
        raise InputError(f"{folder}: {split} has labels other than 0, 1 and NaN (unknown)")
    if np.isnan(labels).all():
        raise InputError(f"{folder}: {split} has no known label at all; nothing can be evaluated")


def notes_on_genres(prepared: Prepared) -> list[str]:
    """Sentences about genres that no film of a split has, or that every film has."""
    notes = []
    for split, consequence in (
        ("train", "learnt as a constant"),
        ("validation", "decided by the threshold of the other genres"),
    ):
        y = prepared.y(split)
        for value, films in ((1, "no film"), (0, "every film")):
            seen = (y == value).any(axis=0)
            genres = [prepared.labels[label] for label in np.flatnonzero(~seen)]
            if genres:
                notes.append(f"note: {films} of {split} has {', '.join(genres)}: {consequence}")
    return notes
