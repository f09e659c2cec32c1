"""Learning curves of finished runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import curve
from movie_genres.command_line import exit_code


def test_runs_become_a_table_and_a_picture_beside_their_tfidf(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "curve.png"
    run = str(finished_run)
    arguments = ["--output", str(picture), "--curve", "tiny", f"6000={run}", f"60={run}",
                 f"60={run}", "--curve", "again", f"60={run}"]  # fmt: skip
    assert curve.main(arguments) == 0
    rows = [line.split(" | ")[:2] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [
        ["| tiny", "60"], ["| tiny", "6,000"], ["| again", "60"],
        ["| TF-IDF, tuned", "60"], ["| TF-IDF, tuned", "6,000"],
    ]  # fmt: skip
    assert picture.is_file()


def test_a_curve_without_runs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--output", str(tmp_path / "curve.png"), "--curve", "tiny"]
    assert exit_code(lambda: curve.main(arguments)) == 2
    assert "--curve 'tiny' has no FILMS=RUN" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["tiny", "TF-IDF, tuned"])
def test_curves_of_one_label_are_refused(
    label: str, finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--output", str(tmp_path / "curve.png")]
    for name in ("tiny", label):
        arguments += ["--curve", name, f"60={finished_run}"]
    assert exit_code(lambda: curve.main(arguments)) == 2
    assert "two curves have the same label: " in capsys.readouterr().err


@pytest.mark.parametrize("run", ["runs/a", "x=runs/a", "60=nowhere", "0=."])
def test_what_is_no_run_is_named(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--output", str(tmp_path / "curve.png"), "--curve", "tiny", run]
    assert exit_code(lambda: curve.main(arguments)) == 2
    assert f"{run!r} is not FILMS=FOLDER of a finished run" in capsys.readouterr().err


def test_runs_judged_by_other_genres_are_refused(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(finished_run / "metrics.json", other)
    films = pd.read_parquet(finished_run / "predictions.parquet")
    films["y_true"] = [labels[::-1] for labels in films["y_true"]]
    films.to_parquet(other / "predictions.parquet")
    arguments = ["--output", str(tmp_path / "c.png"), "--curve", "a", f"1={finished_run}"]
    assert exit_code(lambda: curve.main([*arguments, "--curve", "b", f"1={other}"])) == 2
    assert f"{other} was not judged by the test films and genres" in capsys.readouterr().err
