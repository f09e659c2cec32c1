from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import metrics
from movie_genres.decisions.intervals import paired_differences
from movie_genres.errors import InputError
from movie_genres.evaluation.predictions import Predictions, compare

RNG = np.random.default_rng(0)
Y_TRUE = (RNG.random((80, 2)) < 0.4).astype(float)
Y_TRUE[0, 1] = np.nan


def predictions(noise: float) -> Predictions:
    y_prob = np.clip(np.nan_to_num(Y_TRUE) * (1 - noise) + noise * RNG.random(Y_TRUE.shape), 0, 1)
    names = [str(number) for number in range(len(Y_TRUE))]
    return Predictions(["War", "Noir"], names, names, Y_TRUE, y_prob, (y_prob >= 0.5).astype(int))


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    written = predictions(0.8)
    written.write(tmp_path / "p.parquet")
    read = Predictions.read(tmp_path / "p.parquet")
    assert (read.labels, read.ids, read.texts) == (written.labels, written.ids, written.texts)
    for name in ("y_true", "y_prob", "y_pred"):
        assert np.array_equal(getattr(read, name), getattr(written, name), equal_nan=True)


def test_films_are_matched_by_id_whatever_their_order() -> None:
    a, b = predictions(0.6), predictions(0.9)
    rows = RNG.permutation(len(b.ids))
    shuffled = replace(
        b, ids=[b.ids[r] for r in rows], texts=[b.texts[r] for r in rows],
        y_true=b.y_true[rows], y_prob=b.y_prob[rows], y_pred=b.y_pred[rows],
    )  # fmt: skip
    expected = paired_differences(Y_TRUE, (a.y_pred, a.y_prob), (b.y_pred, b.y_prob))
    assert compare(a, shuffled) == expected


def test_the_command_prints_differences_with_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, noise in (("a", 0.6), ("b", 0.95)):
        predictions(noise).write(tmp_path / f"{name}.parquet")
    assert metrics.main(["compare", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]) == 0
    printed = capsys.readouterr().out
    assert "80 films, 2 genres" in printed
    row = next(line for line in printed.splitlines() if line.startswith("average_precision_macro"))
    assert row.split()[3].startswith("+")
    assert row.endswith("100%")


def test_a_file_compared_with_itself_is_equal_in_every_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.parquet"
    predictions(0.6).write(path)
    assert metrics.main(["compare", str(path), str(path)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("f1_")]
    assert rows
    assert all(row.endswith("equal") for row in rows)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    a = predictions(0.5)
    with pytest.raises(InputError, match="different genres \\(Noir, Western\\)"):
        compare(a, replace(a, labels=["War", "Western"]))
    with pytest.raises(InputError, match="different films: 80 and 80, of which 79 are the same"):
        compare(a, replace(a, ids=["other", *a.ids[1:]]))
    with pytest.raises(InputError, match="different true genres for 1 film"):
        compare(a, replace(a, y_true=np.vstack([1 - Y_TRUE[:1], Y_TRUE[1:]])))
    with pytest.raises(InputError, match="does not exist"):
        Predictions.read(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        Predictions.read(tmp_path / "text.parquet")
    pd.DataFrame({"id": ["1"], "text": ["a"], "y_true": [[1.0]]}).to_parquet(tmp_path / "o.parquet")
    with pytest.raises(InputError, match="no probabilities, y_pred"):
        Predictions.read(tmp_path / "o.parquet")
