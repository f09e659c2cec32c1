"""The benchmark of sizes: what is cut, and what the table says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from benchmarks import learning_curve
from benchmarks.learning_curve import cut, draw, render
from movie_genres.errors import InputError
from movie_genres.preparation.loading import load_prepared


def test_a_larger_part_holds_the_smaller_ones_and_is_judged_by_the_same_films(
    prepared_folder: Path, tmp_path: Path
) -> None:
    whole = load_prepared(prepared_folder)
    n_train, n_validation = (len(whole.splits[split]) for split in ("train", "validation"))
    for size in (40, 80, 10_000):
        kept = cut(prepared_folder, tmp_path / str(size), size, seed=1)
        assert kept == min(size, n_train)
    small, large, all_films = (load_prepared(tmp_path / name) for name in ("40", "80", "10000"))
    assert len(small.splits["train"]) == 40
    assert len(small.splits["validation"]) == round(40 / n_train * n_validation)
    for split in ("train", "validation"):
        assert set(small.splits[split]["id"]) < set(large.splits[split]["id"])
        assert all_films.splits[split]["id"] == whole.splits[split]["id"]
    assert small.splits["test"]["id"] == whole.splits["test"]["id"]


def run_of(films: int, ours: float, tfidf: float) -> dict[str, Any]:
    names = ("average_precision_macro", "f1_micro", "f1_macro")
    return {
        "films": films,
        "test": {"chosen": dict.fromkeys(names, ours)},
        "baselines": {"tfidf_logreg": dict.fromkeys(names, tfidf)},
    }


def test_the_table_has_means_over_seeds_by_size() -> None:
    found = {
        500: [run_of(500, 0.5, 0.4), run_of(500, 0.6, 0.3)],
        4000: [run_of(3900, 0.7, 0.6), run_of(3910, 0.7, 0.6)],
    }
    table = render(found, ["--soup", "1"])
    assert "| 500 | this project | 0.550 | 0.550 | 0.550 |" in table
    assert "| 3,905 | TF-IDF + logistic regression | 0.600 | 0.600 | 0.600 |" in table
    figure = draw(found)
    lines = figure.axes[0].get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [[0.55, 0.7], [0.35, 0.6]]
    plt.close(figure)


def test_a_wrong_flag_is_told_before_any_work(tmp_path: Path) -> None:
    arguments = ["--source", "films.csv", "--seeds", "1", "--work-dir", str(tmp_path / "work")]
    with pytest.raises(InputError, match="--no-such-flag"):
        learning_curve.main([*arguments, "--no-such-flag", "1"])
    assert not (tmp_path / "work").exists()
