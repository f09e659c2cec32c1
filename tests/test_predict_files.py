"""predict.py and files: none is destroyed, every row can be found again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from conftest import made_up_films, write_csv

import predict
from movie_genres.errors import InputError
from movie_genres.inference.films import open_films
from movie_genres.inference.prediction_files import SUFFIXES, check_output

ROWS = [
    {
        "imdbID": f"tt{number}", "title": film["title"], "plot": film["overview"], "year": "01999",
        "genres": "as given", "note": 'a "quoted"\r\nline',
    }
    for number, film in enumerate(made_up_films(12))
]  # fmt: skip


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "films.csv", ROWS)


def run(finished_run: Path, source: Path, output: Path, *more: str) -> int:
    files = ["--input", str(source), "--output", str(output)]
    return predict.main(["--model", str(finished_run), *files, *more])


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path, keep_default_na=False, dtype={"year": str})
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        return pd.DataFrame([json.loads(line) for line in lines])
    return pd.read_parquet(path)


@pytest.mark.parametrize("flags", [[], ["--overwrite"], ["--overwrite", "--restart"]])
@pytest.mark.parametrize("kind", ["same", "other spelling", "symbolic link", "hard link"])
def test_the_input_is_never_replaced(
    finished_run: Path, films: Path, tmp_path: Path, kind: str, flags: list[str]
) -> None:
    before = films.read_bytes()
    output = {"same": films, "other spelling": tmp_path / ".." / tmp_path.name / "films.csv"}.get(
        kind, tmp_path / "link.csv"
    )
    if kind == "symbolic link":
        output.symlink_to(films)
    elif kind == "hard link":
        output.hardlink_to(films)
    with pytest.raises(InputError, match="is the file of --input; name another"):
        run(finished_run, films, output, *flags)
    assert films.read_bytes() == before


def test_another_file_is_replaced_only_when_asked(
    finished_run: Path, films: Path, tmp_path: Path
) -> None:
    output, link = tmp_path / "kept.csv", tmp_path / "link.csv"
    output.write_text("the user's own")
    link.symlink_to(output)
    for path in (output, link):
        with pytest.raises(InputError, match="exists; name another, or replace it with --overwri"):
            run(finished_run, films, path)
    assert output.read_text() == "the user's own"
    assert run(finished_run, films, link, "--overwrite") == 0
    assert link.is_symlink() and len(read(output)) == 12


def test_an_output_that_comes_into_being_meanwhile_is_kept(
    finished_run: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "genres.csv"
    with monkeypatch.context() as patch:
        patch.setattr(
            "movie_genres.inference.bulk.join_parts",
            lambda parts, path, columns: output.write_text("the user's own"),
        )
        with pytest.raises(InputError, match=r"exists now; .* its parts are kept"):
            run(finished_run, films, output)
    assert output.read_text() == "the user's own"
    assert run(finished_run, films, output, "--overwrite") == 0
    assert len(read(output)) == 12


def test_folders_devices_and_pipes_are_no_output(tmp_path: Path, films: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "device.csv").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path / "folder.csv", films, overwrite=True)
    for name in ("device.csv", "pipe.csv"):
        with pytest.raises(InputError, match="is a device or a pipe"):
            check_output(tmp_path / name, films, overwrite=True)


def test_a_folder_of_the_user_s_is_not_taken_for_parts(
    finished_run: Path, films: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "genres.csv.parts"
    folder.mkdir()
    (folder / "holiday-photo.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds holiday-photo.txt, which is no part"):
        run(finished_run, films, tmp_path / "genres.csv", "--restart")
    assert (folder / "holiday-photo.txt").read_text() == "mine"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_have_the_numbers_and_ids_of_the_input_and_its_columns_if_wanted(
    finished_run: Path, films: Path, tmp_path: Path, suffix: str
) -> None:
    lines = films.read_bytes().decode().split("\r\ntt")
    lines.insert(3, "too few")  # the third row of the input
    films.write_bytes("\r\ntt".join(lines).encode())
    output = tmp_path / f"genres{suffix}"
    assert run(finished_run, films, output, "--skip-broken", "--keep-columns") == 0
    rows = read(output)
    assert list(rows) == [
        "row", "id", "title", "text", "genres", "probabilities", "year", "input_genres", "note"
    ]  # fmt: skip
    assert rows["row"].tolist() == [1, 2, *range(4, 14)]
    assert rows["id"].tolist() == [row["imdbID"] for row in ROWS]
    assert rows["title"].tolist() == [row["title"] for row in ROWS]
    assert rows["year"].tolist() == ["01999"] * 12
    assert rows["input_genres"].tolist() == ["as given"] * 12
    assert rows["note"].tolist() == [row["note"] for row in ROWS]


def test_without_an_id_there_is_the_row_number(finished_run: Path, tmp_path: Path) -> None:
    source = write_csv(
        tmp_path / "films.csv", [{"plot": "ghost"}, {"plot": ""}, {"plot": "saloon"}]
    )
    assert run(finished_run, source, tmp_path / "genres.csv") == 0
    rows = read(tmp_path / "genres.csv")
    assert list(rows) == ["row", "title", "text", "genres", "probabilities"]
    assert rows["row"].tolist() == [1, 2, 3]


def test_other_kept_columns_are_another_command(
    finished_run: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("movie_genres.inference.bulk.join_parts", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(finished_run, films, tmp_path / "genres.csv")
    with pytest.raises(InputError, match="a command with different columns"):
        run(finished_run, films, tmp_path / "genres.csv", "--keep-columns")
    assert run(finished_run, films, tmp_path / "genres.csv") == 0


def test_plots_are_found_by_their_content_as_in_preparation(tmp_path: Path) -> None:
    rows = [
        {
            "code": str(n),
            "words": f"The man of {n} goes to the town and finds a letter by the sea",
        }
        for n in range(20)
    ]
    films = open_films(write_csv(tmp_path / "films.csv", rows), tmp_path)
    assert films.columns_of(["plot"]) == {"plot": "words"}


def test_the_encoding_can_be_named(finished_run: Path, tmp_path: Path) -> None:
    source = tmp_path / "films.csv"
    source.write_bytes("title,plot\nЁлка,the ghost\n".encode("cp866"))
    assert run(finished_run, source, tmp_path / "genres.csv", "--encoding", "cp866") == 0
    assert read(tmp_path / "genres.csv")["title"].tolist() == ["Ёлка"]
    with pytest.raises(InputError, match="--encoding goes with --input"):
        predict.main(["--model", ".", "--encoding", "cp866", "a plot"])


def test_placeholders_and_missing_values_count_as_no_plot(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plots = ["the ghost", "No overview found.", "N/A", "nan", '["the ghost", "the blood"]']
    source = write_csv(tmp_path / "films.csv", [{"title": "A", "plot": plot} for plot in plots])
    assert run(finished_run, source, tmp_path / "genres.jsonl", "--threshold", "0") == 0
    assert "note: 3 of 5 films have no plot and get no genre" in capsys.readouterr().err
    given = [bool(genres) for genres in read(tmp_path / "genres.jsonl")["genres"]]
    assert given == [True, False, False, False, True]
