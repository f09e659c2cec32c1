"""Cached activations on disk: what is read is what was computed, and a full disk is found first."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from encoders import MAKERS, Films, collate

from movie_genres.errors import InputError, TrainingError
from movie_genres.model import cached_films
from movie_genres.model.cached_films import CachedFilms, RowsFile, collate_activations
from movie_genres.model.cpu import activations, cached_activations


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

    films = CachedFilms(file, np.eye(3, dtype=np.float32))
    batch = collate_activations([films[0], films[2]])
    assert batch["inputs_embeds"].shape == (2, 8, 5)
    assert np.array_equal(batch["inputs_embeds"][0, :3], rows[0])
    assert not batch["inputs_embeds"][0, 3:].any()
    assert batch["attention_mask"].tolist() == [[1] * 3 + [0] * 5, [1] * 4 + [0] * 4]
    assert torch.equal(batch["labels"], torch.eye(3)[[0, 2]])


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "not finite.*weights are damaged"), (7e4, "beyond the range of float16")],
)
def test_activations_that_are_not_finite_stop_the_run_with_the_causes(
    tmp_path: Path, value: float, said: str
) -> None:
    file = RowsFile(tmp_path / "rows", np.array([1]), 2, "float16")
    file.allocate()
    with pytest.raises(TrainingError, match=said):
        file.write([0], [np.array([[1.0, value]], dtype=np.float32)])


def cached(folder: Path, *, required: bool = False) -> list[np.ndarray] | None:
    """The cached activations of three films by a random BERT."""
    torch.manual_seed(0)
    model = MAKERS["bert"]()
    lengths = np.array([4, 2, 7])
    films = Films(
        {"input_ids": list(range(3, 3 + length)), "labels": [1.0, 0.0, 0.0]} for length in lengths
    )
    with cached_activations(
        model, {"train": films}, {"train": lengths}, collate,
        n_frozen=1, folder=folder, precision="float32", required=required,
    ) as by_split:  # fmt: skip
        if by_split is None:
            return None
        return [by_split["train"][row]["inputs_embeds"] for row in range(3)]


def test_what_is_cached_is_what_enters_the_first_trainable_layer(tmp_path: Path) -> None:
    found = cached(tmp_path / "cache")
    torch.manual_seed(0)
    model = MAKERS["bert"]().eval()
    assert found is not None
    for length, values in zip((4, 2, 7), found, strict=True):
        batch = {"input_ids": torch.arange(3, 3 + length)[None]}
        assert np.allclose(values, activations(model, 1, batch)[0].numpy(), atol=1e-6)


def test_a_complete_cache_is_read_and_an_incomplete_one_computed_again(tmp_path: Path) -> None:
    expected = cached(tmp_path / "cache")
    assert expected is not None
    path = tmp_path / "cache" / "train"
    whole = path.read_bytes()
    for content, read in ((bytes(len(whole)), True), (whole[:-1], False)):
        path.write_bytes(content)
        found = cached(tmp_path / "cache")
        assert found is not None
        assert all((values == 0).all() for values in found) == read
    for mine, values in zip(expected, found, strict=True):
        assert np.array_equal(mine, values)


CACHE_BYTES = (4 + 2 + 7) * 16 * 4


def free_bytes(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    usage = SimpleNamespace(free=count)
    monkeypatch.setattr(cached_films.shutil, "disk_usage", lambda _: usage)


def test_nothing_is_cached_on_a_disk_without_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for free, fits in ((2 * CACHE_BYTES, True), (2 * CACHE_BYTES - 1, False)):
        free_bytes(monkeypatch, free)
        assert (cached(tmp_path / str(free)) is not None) == fits
    assert (said := capsys.readouterr().out).startswith(f"note: {tmp_path} has no room for")
    assert said.endswith("they are computed at every step\n")
    assert said.count("\n") == 1


def test_a_cache_that_is_demanded_is_refused_where_it_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_bytes(monkeypatch, 2 * CACHE_BYTES - 1)
    with pytest.raises(InputError, match="--cache-activations always: .* has no room for"):
        cached(tmp_path / "cache", required=True)


def test_a_complete_cache_needs_no_more_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cached(tmp_path / "cache") is not None
    free_bytes(monkeypatch, 0)
    assert cached(tmp_path / "cache", required=True) is not None


def test_the_room_is_taken_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def over_quota(*_: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(cached_films.os, "posix_fallocate", over_quota, raising=False)
    monkeypatch.setattr(RowsFile, "write", lambda *_: pytest.fail("a film was computed"))
    assert cached(tmp_path / "cache") is None
    assert not (tmp_path / "cache").exists()
    assert "Disk quota exceeded: they are computed at every step" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system has no such call")
def test_room_is_taken_where_the_c_library_must_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_on_nfs(file: int, start: int, count: int) -> None:
        """What glibc does: it reads a byte of each block that the file has, and writes it."""
        for offset in range(start, count, 64):
            if offset < os.fstat(file).st_size:
                os.pread(file, 1, offset)
            os.pwrite(file, b"\0", offset)
        os.pwrite(file, b"\0", count - 1)

    monkeypatch.setattr(cached_films.os, "posix_fallocate", as_on_nfs)
    assert cached(tmp_path / "cache", required=True) is not None
