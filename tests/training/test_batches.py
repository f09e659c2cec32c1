from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset

from movie_genres.decisions.stored import label_fingerprint
from movie_genres.errors import InputError
from movie_genres.preparation.loading import load_prepared
from movie_genres.training.batches import LengthGroupedSampler
from movie_genres.training.losses import UNKNOWN
from movie_genres.training.trainer import with_filler

LENGTHS = np.random.default_rng(0).integers(5, 200, 1003)


def test_an_epoch_reads_every_row_once_and_its_order_depends_on_seed_and_epoch() -> None:
    sampler = LengthGroupedSampler(LENGTHS, 16, seed=0)
    first = list(sampler)
    assert sorted(first) == list(range(1003))
    assert list(sampler) == first
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    resumed = LengthGroupedSampler(LENGTHS, 16, seed=0)
    resumed.set_epoch(1)
    assert list(resumed) == second
    assert list(LengthGroupedSampler(LENGTHS, 16, seed=1)) != first


def test_batches_hold_rows_of_similar_length() -> None:
    order = np.array(list(LengthGroupedSampler(LENGTHS, 16, seed=0)))
    batches = [LENGTHS[order[start : start + 16]] for start in range(0, 1003, 16)]
    padded = sum(len(batch) * batch.max() for batch in batches)
    assert padded < 1.15 * LENGTHS.sum()
    assert len(batches[-1]) == 1003 % 16


def test_fewer_rows_than_a_batch_are_read_too() -> None:
    assert sorted(LengthGroupedSampler(LENGTHS[:5], 16, seed=0)) == list(range(5))


def test_label_order_and_labels_survive_writing_and_reading(prepared_folder: Path) -> None:
    prepared = load_prepared(prepared_folder)
    for split, rows in prepared.splits.items():
        for names, cells in zip(rows["genres"], prepared.y(split), strict=True):
            assert names == [prepared.labels[i] for i in np.flatnonzero(cells)]


def test_the_fingerprint_of_labels_depends_on_their_order() -> None:
    assert label_fingerprint(["a", "b"]) != label_fingerprint(["b", "a"])
    assert label_fingerprint(["a", "b"]) == label_fingerprint(("a", "b"))


def test_a_folder_that_is_no_prepared_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels.json is missing.*prepare_dataset.py"):
        load_prepared(tmp_path)


def test_labels_that_do_not_fit_are_refused(prepared_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared_folder, folder)
    (folder / "labels.json").write_text(json.dumps(["Comedy", "Horror"]))
    with pytest.raises(InputError, match="does not have 2 labels in every row"):
        load_prepared(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.json", b"[", "is damaged"),
        ("report.json", b"{}", "is not one that prepare_dataset.py wrote"),
        ("data/train-00000-of-00001.parquet", b"PAR1", "is damaged"),
    ],
)
def test_damaged_files_are_refused_before_any_work(
    prepared_folder: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared_folder, folder)
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_prepared(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="text"), r"test lacks the column\(s\) text"),
        (lambda rows: rows.head(1), r"test has 1 film\(s\)"),
    ],
)
def test_splits_that_cannot_be_judged_by_are_refused(
    prepared_folder: Path, tmp_path: Path, change: Callable, message: str
) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared_folder, folder)
    path = folder / "data" / "test-00000-of-00001.parquet"
    change(pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(InputError, match=message):
        load_prepared(folder)


def test_labels_other_than_0_1_and_unknown_are_refused(
    prepared_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared_folder, folder)
    path = folder / "data" / "test-00000-of-00001.parquet"
    rows = pd.read_parquet(path)
    for value, message in ((0.5, "labels other than 0, 1 and NaN"), (np.nan, "no known label")):
        rows["labels"] = [np.full(3, value, dtype=np.float32)] * len(rows)
        rows.to_parquet(path)
        with pytest.raises(InputError, match=message):
            load_prepared(folder)


def test_fillers_stand_behind_every_row_and_have_no_known_label() -> None:
    sampler = LengthGroupedSampler(LENGTHS, 16, seed=0, multiple=24)
    order = list(sampler)
    assert len(order) == len(sampler) == 1008
    assert order[:1003] == list(LengthGroupedSampler(LENGTHS, 16, seed=0))
    assert set(order[1003:]) == {1003}
    rows = Dataset.from_dict(
        {"input_ids": [[1, 2, 3], [4], [5, 6]], "labels": [[1.0, UNKNOWN]] * 3}
    )
    filled = with_filler(rows, np.array([3, 1, 2]))
    assert [filled[row] for row in range(3)] == list(rows)
    assert filled[3]["input_ids"] == [4]
    assert filled[3]["labels"].tolist() == [UNKNOWN, UNKNOWN]
