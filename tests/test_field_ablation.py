"""The benchmark of fields: the same films in every text, differences by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import made_up_films, prepare, write_csv

from benchmarks.field_ablation import check_same_films, render
from movie_genres.errors import InputError


def made_up_run(score: float, plots_alone: float | None) -> dict[str, Any]:
    names = ("average_precision_macro", "f1_micro", "f1_macro")
    return {
        "test": {"chosen": dict.fromkeys(names, score)},
        "plots_alone": None if plots_alone is None else dict.fromkeys(names, plots_alone),
        "baselines": {"tfidf_logreg": dict.fromkeys(names, 0.5)},
        "leaks": {"plot": 0.12},
    }


def test_differences_are_to_the_first_text_by_seed() -> None:
    table = render(
        {
            ("plot",): [made_up_run(0.6, None), made_up_run(0.5, None)],
            ("cast", "plot"): [made_up_run(0.7, 0.55), made_up_run(0.62, 0.45)],
        },
        ["--soup", "1"],
    )
    plain, more = (line for line in table.splitlines() if line.startswith("| `"))
    assert plain.startswith("| `plot` | plot 12% | 0.550 ± 0.071 |")
    # The differences are 0.10 and 0.12; half of the interval is t(0.975, 1) = 12.706 times 0.01.
    assert "| 0.660 ± 0.057 (+0.110 (-0.017 to +0.237)) |" in more
    assert more.endswith("| 0.500 ± 0.071 | 0.500 ± 0.000 | 0.500 ± 0.000 |")


def test_texts_of_other_films_are_not_compared(tmp_path: Path) -> None:
    folders = []
    for name, films in (("a", 60), ("b", 60), ("c", 61)):
        write_csv(tmp_path / f"{name}.csv", made_up_films(films))
        assert prepare(tmp_path / f"{name}.csv", tmp_path / name) == 0
        folders.append(tmp_path / name)
    check_same_films(folders[:2])
    with pytest.raises(InputError, match="does not hold the films"):
        check_same_films(folders)
