"""The benchmark of ways to prepare: judged by the same films, differences by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import made_up_films, prepare, write_csv

from benchmarks.data_ablation import check_same_films, data_folder, render
from movie_genres.errors import InputError


def made_up_run(score: float, plots_alone: float | None) -> dict[str, Any]:
    names = ("average_precision_macro", "f1_micro", "f1_macro")
    return {
        "test": {"chosen": dict.fromkeys(names, score)},
        "plots_alone": None if plots_alone is None else dict.fromkeys(names, plots_alone),
        "baselines": {"tfidf_logreg": dict.fromkeys(names, 0.5)},
        "data": {"genre_named_in": {"plot": 0.12}, "splits": {"train": 80}},
    }


def test_differences_are_to_the_first_variant_by_seed() -> None:
    table = render(
        {
            "--text-fields plot": [made_up_run(0.6, None), made_up_run(0.5, None)],
            "--text-fields cast plot": [made_up_run(0.7, 0.55), made_up_run(0.62, 0.45)],
        },
        ["--soup", "1"],
    )
    plain, more, difference = (line for line in table.splitlines() if line.startswith("| `"))
    assert plain.startswith("| `--text-fields plot` | 80 | plot 12% | 0.550 ± 0.071 |")
    assert "| 0.660 ± 0.057 |" in more
    assert more.endswith("| 0.500 ± 0.000 | 0.500 ± 0.071 |")
    # The differences are 0.10 and 0.12; half of the interval is t(0.975, 1) = 12.706 times 0.01.
    assert difference.startswith("| `--text-fields cast plot` | +0.110 (-0.017 to +0.237) |")
    assert difference.endswith("| -0.050 (-0.050 to -0.050) |")


def test_variants_judged_by_other_films_are_not_compared(tmp_path: Path) -> None:
    folders = []
    for name, films in (("a", 60), ("b", 60), ("c", 61)):
        write_csv(tmp_path / f"{name}.csv", made_up_films(films))
        assert prepare(tmp_path / f"{name}.csv", tmp_path / name) == 0
        folders.append(tmp_path / name)
    check_same_films(folders[:2])
    with pytest.raises(InputError, match="is not judged by the films of"):
        check_same_films(folders)


def test_a_variant_has_a_folder_of_its_own_whatever_its_spaces(tmp_path: Path) -> None:
    folders = {data_folder(tmp_path, 1, flags) for flags in ("", "--a 1", "--a  1", '--a "1 2"')}
    assert len(folders) == 3
