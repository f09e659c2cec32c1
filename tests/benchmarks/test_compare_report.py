"""The tables of a comparison: means, spreads and differences computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from benchmarks.compare_report import (
    Results,
    Row,
    draw_learning_curves,
    learning_curves,
    render,
    spread,
    student_interval,
)
from movie_genres.decisions.scores import SCORE_NAMES

OURS, TFIDF = Row("ours", "", None), Row("tfidf", "", None)


def result(score: float, *, plots_alone: float | None = None, **more: Any) -> dict[str, Any]:
    return {
        "scores": dict.fromkeys(SCORE_NAMES, score),
        "scores_at_half": dict.fromkeys(SCORE_NAMES, score - 0.1),
        "ece": 0.01,
        "plots_alone": None if plots_alone is None else dict.fromkeys(SCORE_NAMES, plots_alone),
        "seconds": 100.0,
        "peak_memory_bytes": 2**30,
        "precision": "float32",
        "films": 3900,
        "machine": "A chip, 2 cores",
    } | more


def rows_of(report: str, start: str) -> list[list[str]]:
    lines = [line for line in report.splitlines() if line.startswith(f"| {start}")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_a_figure_that_no_seed_has_is_a_dash() -> None:
    assert spread([None, None], 1) == "–"
    assert spread([1.0, 2.0], 1) == "1.5 ± 0.7"
    assert spread([1.0], 1) == "1.0"


def test_an_interval_over_seeds_by_hand() -> None:
    # Student's t of 2 degrees of freedom, 97.5 %: 4.3027; standard error 0.1 / sqrt(3).
    found = student_interval(np.array([0.1, 0.2, 0.3]))
    assert found == pytest.approx((0.2 - 0.248413, 0.2 + 0.248413), abs=1e-5)


def test_the_first_recipe_is_compared_with_each_other_one() -> None:
    results: Results = {
        OURS: {10: result(0.7, plots_alone=0.6), 11: result(0.62, plots_alone=0.5)},
        TFIDF: {10: result(0.6, peak_memory_bytes=None), 11: result(0.5, peak_memory_bytes=None)},
    }
    report = render(results, "python -m benchmarks.compare", ["stock, seed 10: ended with 1"])
    ours, difference = rows_of(report, "this project")
    (tfidf,) = rows_of(report, "TF-IDF")
    assert ours[1:3] == ["3,900 ± 0", "0.660 ± 0.057"]
    assert ours[7] == "0.550 ± 0.071"  # given the plots alone
    assert (tfidf[7], tfidf[9]) == ("–", "–")
    # The differences are 0.10 and 0.12; half of the interval is t(0.975, 1) = 12.706 times 0.01.
    assert difference[0] == "this project − TF-IDF + logistic regression"
    assert difference[1] == "+0.110 (-0.017 to +0.237)"
    assert "stock, seed 10: ended with 1" in report
    assert not any(wrong in report for wrong in ("nan", "None", "inf"))


def test_each_variant_is_compared_with_the_first_one_of_its_recipe() -> None:
    more = "--train-source more.csv"
    results: Results = {
        OURS: {10: result(0.6), 11: result(0.5)},
        OURS._replace(variant=more): {10: result(0.7), 11: result(0.62)},
    }
    report = render(results, "")
    assert rows_of(report, f"this project, `{more}` −")[0][1] == "+0.110 (-0.017 to +0.237)"


def test_the_interval_of_one_seed_is_of_its_test_films(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, (40, 3)).astype(np.float32)
    results: Results = {}
    for row, y_pred in ((OURS, y_true), (TFIDF, 1 - y_true)):
        path = tmp_path / f"{row.recipe}.json"
        y_prob = 0.2 + 0.6 * y_pred
        np.savez(path.with_suffix(".npz"), y_true=y_true, y_pred=y_pred, y_prob=y_prob)
        results[row] = {10: result(float(row == OURS), path=path)}
    (difference,) = rows_of(render(results, ""), "this project −")
    assert difference[2] == "+1.000 (+1.000 to +1.000)"  # right and wrong for every film


def test_a_recipe_with_fewer_seeds_names_them() -> None:
    ours = {seed: result(0.6) for seed in (10, 11, 12)}
    results: Results = {OURS: ours, TFIDF: {11: result(0.5), 12: result(0.5)}}
    assert rows_of(render(results, ""), "TF-IDF")[0][0].endswith(", seed(s) 11, 12")


def test_results_of_two_machines_are_marked() -> None:
    for machine, marked in (("A chip, 2 cores", False), ("Another chip", True)):
        report = render({OURS: {10: result(0.6), 11: result(0.6, machine=machine)}}, "")
        assert ("Not all of this ran on one machine" in report) == marked


def test_the_learning_curve_shows_means_over_seeds() -> None:
    results: Results = {
        Row(recipe, "", films): {
            seed: result(score + 0.1 * (seed == 11), films=films) for seed in (10, 11)
        }
        for recipe, films, score in (
            ("ours", 500, 0.5), ("ours", 4000, 0.7), ("tfidf", 500, 0.3), ("tfidf", 4000, 0.6)
        )
    }  # fmt: skip
    figure = draw_learning_curves(learning_curves(results))
    lines = figure.axes[0].get_lines()
    assert [line.get_ydata() for line in lines] == [
        pytest.approx([0.55, 0.75]), pytest.approx([0.35, 0.65])
    ]  # fmt: skip
    plt.close(figure)
