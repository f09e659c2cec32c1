"""JSON of any layout, compressed files, Parquet's types, and what is not read is named."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import made_up_films
from test_sources import FILMS, cells, opened, written_csv

from movie_genres.errors import InputError
from movie_genres.reading.records import as_text, light_columns
from movie_genres.reading.tables import open_table

ROWS = [(f["id"], f["title"], f["overview"], f["genres"]) for f in FILMS]


def run_pandas(error: object, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the lines of Python that a message prints, in this folder."""
    found = re.search(r"import pandas as pd; (.*)", str(error))
    assert found, error
    monkeypatch.chdir(folder)
    exec(found[1], {"pd": pd})


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_read_as_one_whatever_the_file_s_name(
    tmp_path: Path, suffix: str, indent: int | None
) -> None:
    path = tmp_path / f"films.{suffix}"
    path.write_text(json.dumps(FILMS, indent=indent))
    (source,) = opened(tmp_path, str(path))
    assert cells(source) == ROWS
    path.write_text(json.dumps({"page": 1, "films": FILMS}, indent=2))
    (source,) = opened(tmp_path, str(path))
    assert cells(source) == ROWS


@pytest.mark.parametrize("suffix", ["json", "jsonl", "txt"])
def test_lines_of_json_may_be_longer_than_the_bytes_that_are_looked_at(
    tmp_path: Path, suffix: str
) -> None:
    films = [film | {"script": "x y " * 30_000} for film in FILMS]
    path = tmp_path / f"films.{suffix}"
    path.write_text("\n\n".join(map(json.dumps, films)) + "\n")
    (source,) = opened(tmp_path, str(path))
    assert cells(source) == ROWS


def test_a_broken_line_of_json_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "films.jsonl"
    path.write_text('{"id": 1, "overview"\n' + "".join(json.dumps(f) + "\n" for f in FILMS))
    (source,) = opened(tmp_path, str(path))
    assert [record[:4] for record in list(source.records())[1:]] == ROWS  # type: ignore[index]


def test_fields_inside_objects_are_columns(tmp_path: Path) -> None:
    films = [
        {
            "year": 1999,
            "title": f["title"],
            "info": {"plot": f["overview"], "x": {"genres": ["War"]}},
        }
        for f in FILMS
    ]
    (tmp_path / "films.json").write_text(json.dumps(films))
    (source,) = opened(tmp_path, str(tmp_path / "films.json"))
    assert source.table.columns == ["year", "title", "info", "plot", "x", "genres"]
    assert cells(source)[3] == ("", FILMS[3]["title"], FILMS[3]["overview"], '["War"]')


def test_a_name_that_several_objects_use_is_named_with_them(tmp_path: Path) -> None:
    films = [
        {"en": {"plot": f["overview"]}, "de": {"plot": "Ein Mann"}, "genres": {"/m/1": "War"}}
        | {"title": "T", "original": {"title": "U"}}
        for f in FILMS[:40]
    ] + [{"genres": {"/m/2": "Drama"}, "title": "T", "en": {"plot": "A dog"}} for _ in range(41)]
    path = tmp_path / "films.jsonl"
    path.write_text("".join(json.dumps(f) + "\n" for f in films))
    with pytest.raises(InputError, match=r"en\.plot.*de\.plot"):
        opened(tmp_path, str(path))
    (source,) = opened(tmp_path, str(path), text_column="en.plot")
    assert cells(source)[5][1:] == ("T", FILMS[5]["overview"], '{"/m/1": "War"}')
    assert "/m/1" not in source.table.columns  # an object that is a value


def test_json_by_ids_is_read_and_what_pandas_writes_has_a_remedy_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "films.json"
    path.write_text(json.dumps({f["id"]: {k: f[k] for k in f if k != "id"} for f in FILMS}))
    (source,) = opened(tmp_path, str(path))
    assert cells(source) == ROWS
    pd.DataFrame(FILMS).to_json(path)
    with pytest.raises(InputError, match="must hold one array of objects") as caught:
        opened(tmp_path, str(path))
    run_pandas(caught.value, tmp_path, monkeypatch)
    (source,) = opened(tmp_path, str(tmp_path / "films_records.json"))
    assert cells(source) == ROWS


@pytest.mark.parametrize(
    ("suffix", "compress"), [("bz2", bz2.compress), ("xz", lzma.compress), ("gz", gzip.compress)]
)
def test_compressed_files_are_read_whatever_their_name(
    tmp_path: Path, suffix: str, compress: object
) -> None:
    assert callable(compress)
    packed = compress(written_csv(FILMS).encode())
    for name in (f"films.csv.{suffix}", "films.csv"):
        (tmp_path / name).write_bytes(packed)
        (source,) = opened(tmp_path, str(tmp_path / name))
        assert cells(source) == ROWS
    (tmp_path / "cut.csv").write_bytes(packed[:-9])
    with pytest.raises(InputError, match="cut.csv cannot be expanded"):
        opened(tmp_path, str(tmp_path / "cut.csv"))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_named_whatever_its_name(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "films.csv"
    content = io.BytesIO(written_csv(FILMS).encode())
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo("films.csv")
        member.size = len(content.getvalue())
        archive.addfile(member, content)
    with pytest.raises(InputError, match=r"is a tar archive; unpack it \(tar -xf\)"):
        opened(tmp_path, str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n<!doctype html>\n<html>", r"is a web page.*pd.read_html\('films.csv'\)"),
        (b"\xef\xbb\xbf<!-- saved --><HTML lang=en>", "is a web page"),
        (b"%PDF-1.7", "is a PDF"),
        (b"SQLite format 3\x00", r"is an SQLite database; .*sqlite3 -header -csv 'films.csv'"),
        (gzip.compress(b"RDX3\nX\n"), "holds films.csv, which is an R data file"),
        (gzip.compress(b"X\n\x00\x00\x00\x03"), r"write.csv\(readRDS\('films.csv'\)"),
        (b"\x80\x02}q\x00", "is a Python pickle"),
        (b"ARROW1\x00\x00", "is an Arrow file"),
        (b"\x89PNG\r\n\x1a\n", "is a picture"),
    ],
)
def test_files_of_other_kinds_are_named_for_what_they_are(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "films.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        opened(tmp_path, str(tmp_path / "films.csv"))


def test_a_zip_without_films_is_named(tmp_path: Path) -> None:
    for members, message in (
        ([], "holds no file of films: it is empty"),
        (["README.md", "a/1.jpg"], "holds no file of films, only README.md, 1.jpg"),
    ):
        with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
            for member in members:
                archive.writestr(member, "x")
        with pytest.raises(InputError, match=message):
            opened(tmp_path, str(tmp_path / "films.zip"))


@pytest.mark.parametrize(
    "name",
    ["hex", "rot13", "base64", "idna", "undefined", "unicode_escape", "latin", "utf-9", "a\0b", ""],
)
def test_an_encoding_that_no_file_has_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "films.csv").write_text(written_csv(FILMS))
    if name == "latin":
        assert len(opened(tmp_path, str(tmp_path / "films.csv"), encoding=name)) == 1
        return
    with pytest.raises(InputError, match="is no encoding of text files; known are utf-8"):
        opened(tmp_path, str(tmp_path / "films.csv"), encoding=name)


def test_only_a_column_that_is_wanted_must_have_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    rows = [f"{f['id']},{f['title']},{f['overview']},War,x,y,z," for f in FILMS]
    path.write_text("\n".join(["id,title,overview,genres,note,note,,", *rows]) + "\n")
    (source,) = opened(tmp_path, str(path))
    assert cells(source)[7][1:3] == (FILMS[7]["title"], FILMS[7]["overview"])
    assert "note: name the one you mean as note (1) and note (2)" in source.table.notes[0]
    both = [row.replace(",x,", f",{f['overview']},") for row, f in zip(rows, FILMS, strict=True)]
    path.write_text("\n".join(["id,title,overview,genres,overview,x,,", *both]) + "\n")
    with pytest.raises(InputError, match="films.csv has several columns named overview"):
        opened(tmp_path, str(path))
    (source,) = opened(tmp_path, str(path), text_column="overview (1)")
    assert cells(source)[7][2] == FILMS[7]["overview"]


def test_two_files_of_the_same_films_are_joined_by_the_lines_of_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plots = pd.DataFrame(FILMS)[["id", "title", "overview"]]
    genres = pd.DataFrame(FILMS)[["id", "title", "genres"]].rename(columns={"id": "movie_id"})
    plots.to_csv(tmp_path / "plots.csv", index=False)
    genres.to_csv(tmp_path / "genres.csv", index=False, sep=";")
    names = [str(tmp_path / "plots.csv"), str(tmp_path / "genres.csv")]
    for given in (names, names[::-1]):
        with pytest.raises(InputError, match="no column found for --.* to join two") as caught:
            opened(tmp_path, *given)
        run_pandas(caught.value, tmp_path, monkeypatch)
        (source,) = opened(tmp_path, str(tmp_path / "joined.csv"))
        assert cells(source) == ROWS
    # Alone, as MovieLens' movies.csv is.
    genres.to_csv(tmp_path / "movies.csv", index=False)
    plots.rename(columns={"id": "movie_id"}).to_csv(tmp_path / "OTHER.csv", index=False)
    with pytest.raises(InputError, match="^movies.csv: no column found for --text-col") as caught:
        opened(tmp_path, str(tmp_path / "movies.csv"))
    run_pandas(caught.value, tmp_path, monkeypatch)
    assert "overview" in (tmp_path / "joined.csv").read_text().splitlines()[0]


def test_bytes_lists_and_objects_of_parquet_are_text(tmp_path: Path) -> None:
    films = {
        "id": pa.array([int(f["id"]) for f in FILMS]),
        "title": pa.array([f["title"].encode() for f in FILMS], pa.binary()),
        "overview": pa.array([f["overview"] for f in FILMS]).dictionary_encode(),
        "genres": pa.array([[{"id": 1, "name": f["genres"]}] for f in FILMS]),
    }
    pq.write_table(pa.table(films), tmp_path / "films.parquet")
    (source,) = opened(tmp_path, str(tmp_path / "films.parquet"))
    assert cells(source)[2][:3] == ROWS[2][:3]
    assert cells(source)[2][3] == json.dumps([{"id": 1, "name": ROWS[2][3]}])
    assert as_text(np.array([["é", "b"]])) == '[["é", "b"]]'
    assert as_text([b"\xc3\xa9", np.int64(3)]) == '["é", "3"]'
    assert as_text(np.float32("nan")) == ""


def test_embeddings_and_pictures_are_not_read(tmp_path: Path) -> None:
    films = made_up_films(300)
    numbers = np.random.default_rng(0).normal(size=(len(films), 768)).astype("f4")
    table = pa.table({
        **{name: [film[name] for film in films] for name in films[0]},
        "genre_ids": [[28, 12]] * len(films),
        "vector": list(numbers),
        "poster": [b"\xff\xd8" + bytes(20_000)] * len(films),
        "image": [{"bytes": b"\xff\xd8", "path": None}] * len(films),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "films.parquet")
    assert open_table(tmp_path / "films.parquet").columns == [*films[0], "genre_ids"]
    folder = tmp_path / "hub"
    folder.mkdir()
    (tmp_path / "films.parquet").rename(folder / "train.parquet")
    (source,) = opened(tmp_path, str(folder))
    assert source.table.columns == [*films[0], "genre_ids", "(split)"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_wide_cells_without_words_do_not_fill_the_memory(tmp_path: Path, suffix: str) -> None:
    vector = ", ".join(f"{n / 7:.6f}" for n in range(768))
    films = [
        film | {"vector": f"[{vector}]", "poster": "aGVsbG8" * 800} for film in made_up_films(1500)
    ]
    path = tmp_path / f"films.{suffix}"
    path.write_text(
        written_csv(films)
        if suffix == "csv"
        else "".join(json.dumps(film) + "\n" for film in films),
        newline="",
    )
    table = open_table(path)
    assert light_columns(table) == list(films[0])[:-2]
    tracemalloc.start()
    (source,) = opened(tmp_path, str(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (12 if suffix == "csv" else 18) * 2**20  # the file has 20 MB
    assert len(cells(source)) == 1500
