"""predictions.parquet: the probabilities and decisions of a model for each film of a split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from movie_genres.decisions.intervals import Difference, paired_differences
from movie_genres.errors import InputError

_ARRAYS = ("y_true", "probabilities", "y_pred")


@dataclass(frozen=True)
class Predictions:
    """Predictions of one model on one split; arrays of shape (n_films, n_labels)."""

    labels: list[str]
    ids: list[str]
    texts: list[str]
    y_true: np.ndarray
    """Multi-hot, NaN where unknown."""
    y_prob: np.ndarray
    y_pred: np.ndarray

    def write(self, path: Path) -> None:
        """Columns id, text, y_true, probabilities, y_pred; the genre names as metadata."""
        table = pd.DataFrame({"id": self.ids, "text": self.texts})
        for name, values, kind in zip(
            _ARRAYS, (self.y_true, self.y_prob, self.y_pred), ("float32", "float64", "int8"),
            strict=True,
        ):  # fmt: skip
            table[name] = list(values.astype(kind))
        table.attrs["labels"] = self.labels
        table.to_parquet(path, index=False)

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Raises: InputError: If the file is missing or was not written by `write`."""
        try:
            table = pd.read_parquet(path)
        except FileNotFoundError:
            raise InputError(f"{path} does not exist") from None
        except (OSError, ValueError, pa.ArrowException) as error:
            raise InputError(f"{path} cannot be read as Parquet: {error}") from None
        missing = [name for name in ("id", "text", *_ARRAYS) if name not in table]
        if missing or "labels" not in table.attrs or not len(table):
            raise InputError(
                f"{path} is not a predictions.parquet of this version (no "
                f"{', '.join(missing) or 'films or genre names'}); finetune.py and "
                "evaluate_model.py write one"
            )
        labels = table.attrs["labels"]
        if any({len(row) for row in table[name]} != {len(labels)} for name in _ARRAYS):
            raise InputError(f"{path} does not have {len(labels)} numbers for each film")
        arrays = [np.array(table[name].tolist()) for name in _ARRAYS]
        if not ((arrays[1] >= 0) & (arrays[1] <= 1)).all():
            raise InputError(f"{path} holds probabilities outside [0, 1]; are they logits?")
        return cls(labels, table["id"].tolist(), table["text"].tolist(), *arrays)

    def order_as(self, other: Predictions) -> Predictions:
        """The same films in another file's order.

        Raises:
            InputError: If the files differ in genres, films or true labels: then their scores
                cannot be compared.
        """
        if self.labels != other.labels:
            differing = sorted(set(self.labels) ^ set(other.labels))
            raise InputError(
                f"the two files have different genres ({', '.join(differing) or 'order'})"
            )
        place = {name: row for row, name in enumerate(self.ids)}
        if set(place) != set(other.ids):
            common = len(set(place) & set(other.ids))
            raise InputError(
                f"the two files have different films: {len(place):,} and {len(other.ids):,}, of "
                f"which {common:,} are the same; compare models on the same test split"
            )
        rows = [place[name] for name in other.ids]
        ordered = replace(
            self,
            ids=list(other.ids),
            texts=[self.texts[row] for row in rows],
            y_true=self.y_true[rows], y_prob=self.y_prob[rows], y_pred=self.y_pred[rows],
        )  # fmt: skip
        unequal = ~np.isclose(ordered.y_true, other.y_true, equal_nan=True).all(axis=1)
        if unequal.any():
            first = other.ids[int(np.flatnonzero(unequal)[0])]
            raise InputError(
                f"the two files have different true genres for {int(unequal.sum()):,} film(s), "
                f"such as {first!r}; compare models on the same labels"
            )
        return ordered


def compare(a: Predictions, b: Predictions) -> dict[str, Difference]:
    """Paired differences of two models on the same films: a - b, by score.

    Raises:
        InputError: If the two differ in films, genres or true labels.
    """
    b = b.order_as(a)
    return paired_differences(a.y_true, (a.y_pred, a.y_prob), (b.y_pred, b.y_prob))
