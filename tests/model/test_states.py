"""The states of the frozen layers on disk, and trainings on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import finetune
from movie_genres.errors import TrainingError
from movie_genres.model.states import FilmStates, RowsFile, collate_states, fits_on_disk

Arguments = Callable[..., list[str]]


def test_rows_of_different_lengths_come_back_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([3, 1, 4])
    rows = [rng.normal(size=(length, 5)).astype(np.float32) for length in lengths]
    file = RowsFile(tmp_path / "rows", lengths, 5, "float32")
    file.allocate()
    file.write([2, 0], [rows[2], rows[0]])
    file.write([1], [rows[1]])
    assert file.path.stat().st_size == file.n_bytes == 8 * 5 * 4
    for row in (1, 2, 0):
        assert np.array_equal(file.read(row), rows[row])
    assert np.array_equal(file.read_all(), np.concatenate(rows))

    films = FilmStates(file, np.eye(3, dtype=np.float32))
    batch = collate_states([films[0], films[2]])
    assert batch["inputs_embeds"].shape == (2, 8, 5)
    assert np.array_equal(batch["inputs_embeds"][0, :3], rows[0])
    assert not batch["inputs_embeds"][0, 3:].any()
    assert batch["attention_mask"].tolist() == [[1] * 3 + [0] * 5, [1] * 4 + [0] * 4]
    assert torch.equal(batch["labels"], torch.eye(3)[[0, 2]])


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "not finite.*weights are damaged"), (7e4, "beyond the range of float16")],
)
def test_states_that_are_not_finite_stop_the_run_with_the_causes(
    tmp_path: Path, value: float, said: str
) -> None:
    file = RowsFile(tmp_path / "rows", np.array([1]), 2, "float16")
    file.allocate()
    with pytest.raises(TrainingError, match=said):
        file.write([0], [np.array([[1.0, value]], dtype=np.float32)])


def test_half_of_the_free_disk_is_left(tmp_path: Path) -> None:
    assert fits_on_disk(1_000_000, tmp_path / "not" / "yet")
    assert not fits_on_disk(2**60, tmp_path)


@pytest.fixture(scope="module")
def kept_or_not(
    tiny_arguments: Arguments, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Two runs that differ in whether the states of the frozen layer are kept."""
    runs = {}
    for keep in ("always", "never"):
        runs[keep] = tmp_path_factory.mktemp("states") / keep
        flags = ["--frozen-share", "0.5", "--keep-states", keep]
        assert finetune.main(tiny_arguments(runs[keep], *flags)) == 0
    return runs


def test_a_training_on_kept_states_ends_as_one_that_computes_them_anew(
    kept_or_not: dict[str, Path],
) -> None:
    kept, anew = (
        json.loads((kept_or_not[keep] / "metrics.json").read_text()) for keep in ("always", "never")
    )
    assert kept["test"]["chosen"] == pytest.approx(anew["test"]["chosen"], abs=1e-4)
    assert kept["thresholds"] == pytest.approx(anew["thresholds"], abs=1e-3)
    steps = [
        json.loads((kept_or_not[keep] / "checkpoints/checkpoint-20/trainer_state.json").read_text())
        for keep in ("always", "never")
    ]
    assert steps[0]["num_input_tokens_seen"] == steps[1]["num_input_tokens_seen"] > 0
    for ours, theirs in zip(*(step["log_history"] for step in steps), strict=True):
        assert ours.get("loss") == pytest.approx(theirs.get("loss"), abs=1e-4)
        assert ours.get("eval_loss") == pytest.approx(theirs.get("eval_loss"), abs=1e-4)


def test_states_are_gone_once_the_run_is_complete(kept_or_not: dict[str, Path]) -> None:
    assert not (kept_or_not["always"] / "checkpoints" / "first_pass").exists()
