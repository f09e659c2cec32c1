"""The benchmark between providers: no film that was seen, the table from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import made_up_films, prepare, write_csv

from benchmarks import transfer
from movie_genres.preparation.loading import load_prepared
from movie_genres.preparation.splits import SPLITS


@pytest.fixture
def other_provider(tmp_path: Path) -> Path:
    """160 films, of which the other data set has 60: by id, by title or by plot alone."""
    films = made_up_films(160)
    for number, film in enumerate(films):
        if number % 3 or number >= 60:
            film["id"] = f"tt{number}"
        if number % 3 != 1 or number >= 60:
            film["title"] = f"Another {number}"
        if number % 3 != 2 or number >= 60:
            film["overview"] = f"Told anew: {film['overview']}"
    write_csv(tmp_path / "other.csv", films)
    assert prepare(tmp_path / "other.csv", tmp_path / "other") == 0
    return tmp_path / "other"


def test_films_that_share_an_id_a_title_or_a_plot_are_not_new(
    other_provider: Path, prepared_folder: Path
) -> None:
    known, there = load_prepared(prepared_folder), load_prepared(other_provider)
    for split in SPLITS:
        titles = np.array(there.splits[split]["title"])
        numbers = np.array([int(title.split()[1]) for title in titles])
        found = numbers[transfer.new_films(there, split, known)]
        assert sorted(found) == sorted(numbers[numbers >= 60])


def test_both_models_and_both_baselines_are_scored(
    other_provider: Path,
    prepared_folder: Path,
    finished_run: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    model, data = str(finished_run / "model"), str(prepared_folder)
    arguments = ["--model", model, "--trained-on", data, "--own-model", model]
    assert transfer.main([*arguments, "--dataset-dir", str(other_provider)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 5
    assert rows[1].split("|")[2:] == rows[2].split("|")[2:]  # here they are one model
