"""The comparison: which jobs run, on which films, and what is not compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import made_up_films, prepare, write_csv

from benchmarks import compare
from benchmarks.compare import Job, check_same_films, check_settings, keep_films
from benchmarks.compare_report import Row
from movie_genres.errors import InputError
from movie_genres.files import write_json
from movie_genres.preparation.loading import load_prepared

SETTINGS = {"source": "films.csv", "model_name_or_path": "default", "max_length": 128, "flags": []}


def jobs_of(work_dir: Path, *more: str) -> list[Job]:
    arguments = ["--source", "films.csv", "--work-dir", str(work_dir), "--seeds", "10", "11"]
    args, _ = compare.parse_args([*arguments, *more])
    return list(compare.plan(args))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The processes that would have been started; each ends with exit code 0."""
    started: list[tuple[object, ...]] = []
    monkeypatch.setattr(compare, "prepare", lambda *_: None)
    monkeypatch.setattr(compare, "call", lambda *words: started.append(words) or 0)
    return started


def recipe_of(call: tuple[object, ...]) -> object:
    return call[call.index("--recipe") + 1]


def test_finished_jobs_are_not_repeated(tmp_path: Path, calls: list[tuple[object, ...]]) -> None:
    jobs = jobs_of(tmp_path, "--recipes", "ours", "tfidf")
    (tmp_path / "results").mkdir()
    for job in jobs:
        if job.row.recipe == "ours":
            write_json(job.result, {})
    assert compare.run_missing(jobs, SETTINGS) == []
    assert [recipe_of(call) for call in calls] == ["tfidf", "tfidf"]


def test_a_recipe_that_fails_does_not_stop_the_others(
    tmp_path: Path, calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "call", lambda *words: calls.append(words) or 1)
    failed = compare.run_missing(jobs_of(tmp_path, "--recipes", "stock", "ours")[:2], SETTINGS)
    assert [recipe_of(call) for call in calls] == ["stock", "ours"]
    assert failed == [f"{name}, seed 10: ended with exit code 1" for name in ("stock", "ours")]


def test_every_job_has_files_of_its_own_whatever_the_spaces_in_its_flags(tmp_path: Path) -> None:
    variants = ("", "--a 1", "--a  1", '--a "1 2"')
    jobs = [
        Job(tmp_path, seed, Row(recipe, variant, films))
        for seed in (1, 2)
        for recipe in ("ours", "tfidf")
        for variant in variants
        for films in (None, 500)
    ]
    assert len({job.result for job in jobs}) == 2 * 2 * 3 * 2  # two variants are the same flags
    assert len({job.data for job in jobs}) == 2 * 3 * 2


def test_a_larger_part_holds_the_smaller_ones_and_has_the_same_test_films(
    prepared_folder: Path, tmp_path: Path
) -> None:
    whole = load_prepared(prepared_folder)
    n_train, n_validation = (len(whole.splits[split]) for split in ("train", "validation"))
    for size in (40, 80, 10_000):
        keep_films(prepared_folder, tmp_path / str(size), size, seed=1)
    small, large, all_films = (load_prepared(tmp_path / name) for name in ("40", "80", "10000"))
    assert len(small.splits["train"]) == 40
    assert len(small.splits["validation"]) == round(40 / n_train * n_validation)
    for split in ("train", "validation"):
        assert set(small.splits[split]["id"]) < set(large.splits[split]["id"])
        assert list(all_films.splits[split]["id"]) == list(whole.splits[split]["id"])
    assert list(small.splits["test"]["id"]) == list(whole.splits["test"]["id"])


def test_variants_that_hold_out_other_films_are_not_compared(tmp_path: Path) -> None:
    for name, films in (("a", 60), ("b", 60), ("c", 61)):
        write_csv(tmp_path / f"{name}.csv", made_up_films(films))
        assert prepare(tmp_path / f"{name}.csv", tmp_path / name) == 0
    check_same_films(tmp_path / "a", tmp_path / "b")
    with pytest.raises(InputError, match="does not hold out the films of"):
        check_same_films(tmp_path / "a", tmp_path / "c")


def test_a_folder_with_results_of_other_settings_is_refused(tmp_path: Path) -> None:
    check_settings(tmp_path / "work", SETTINGS)
    (tmp_path / "work" / "results").mkdir()
    check_settings(tmp_path / "work", SETTINGS)
    with pytest.raises(InputError, match="max_length 128, not 64"):
        check_settings(tmp_path / "work", SETTINGS | {"max_length": 64})


def test_settings_can_be_corrected_as_long_as_there_is_no_result(tmp_path: Path) -> None:
    check_settings(tmp_path / "work", SETTINGS | {"source": "misspelt.csv"})
    check_settings(tmp_path / "work", SETTINGS)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds something else"):
        check_settings(tmp_path, SETTINGS)


def test_flags_that_finetune_does_not_know_are_refused_before_any_work(tmp_path: Path) -> None:
    arguments = ["--source", "films.csv", "--seeds", "1", "--work-dir", str(tmp_path / "work")]
    with pytest.raises(InputError, match="--no-such-flag"):
        compare.main([*arguments, "--no-such-flag", "1"])
    assert not (tmp_path / "work").exists()
