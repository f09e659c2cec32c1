"""The audit lists films whose labels look wrong."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import made_up_films, prepare, write_csv

from movie_genres.errors import InputError
from movie_genres.evaluation.audit import find_issues


def test_the_audit_lists_doubtful_films(tmp_path: Path) -> None:
    pytest.importorskip("cleanlab")
    folder = tmp_path / "prepared"
    rows = made_up_films(200)
    prepare(write_csv(tmp_path / "films.csv", rows), folder, "--audit")
    with (folder / "audit.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) <= 10
    assert {row["id"] for row in listed} <= {row["id"] for row in rows}


def test_exchanged_labels_are_doubted_first() -> None:
    pytest.importorskip("cleanlab")
    films = made_up_films(300)
    labels = ["Comedy", "Horror", "Western"]
    y = np.array([[name in film["genres"] for name in labels] for film in films], dtype=np.int8)
    exchanged = np.arange(0, 60, 10)  # comedies
    y[exchanged] = [0, 0, 1]
    wrong, quality = find_issues([film["overview"] for film in films], y, seed=0)
    assert wrong[exchanged].any(axis=1).all()
    assert set(np.argsort(quality)[:6]) == set(exchanged)


def test_a_missing_cleanlab_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = "movie_genres.evaluation.audit.importlib.util.find_spec"
    monkeypatch.setattr(find_spec, lambda name: None)
    source = write_csv(tmp_path / "films.csv", made_up_films(40))
    with pytest.raises(InputError, match="pip install cleanlab"):
        prepare(source, tmp_path / "out", "--audit")
    assert not (tmp_path / "out").exists()
