"""Every kind of source gives the same records; what is broken is reported or refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from conftest import made_up_films

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.cells import GenreFormat
from movie_genres.preparation.leaks import with_text_fields
from movie_genres.reading.records import Malformed
from movie_genres.reading.sources import (
    Source,
    SourceOptions,
    read_sources,
)
from prepare_dataset import ALIASES

TABLE = GenreAliases.read(ALIASES)
FILMS = made_up_films(60)


def opened(tmp_path: Path, *names: str, **options: str) -> list[Source]:
    folder = tempfile.mkdtemp(prefix="expanded", dir=tmp_path)
    return read_sources(names, SourceOptions(**options), TABLE, Path(folder))


def cells(source: Source) -> list[Sequence[str]]:
    found = list(source.records())
    assert not any(isinstance(record, Malformed) for record in found)
    return [record[:4] for record in found]  # type: ignore[index]


def written_csv(films: Sequence[dict[str, str]], delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(films[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(films)
    return text.getvalue()


def triple_colons() -> str:
    rows = (
        f"{f['id']} ::: {f['title']} ::: {f['genres'].split('|')[0]} ::: {f['overview']}\n"
        for f in FILMS
    )
    return "".join(rows)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("films.csv", written_csv(FILMS)),
        ("european.csv", written_csv(FILMS, ";")),
        ("films.tsv", written_csv(FILMS, "\t")),
        ("films.json", json.dumps(FILMS)),
        ("object.json", json.dumps({"page": 1, "results": FILMS})),
        ("films.jsonl", "".join(json.dumps(film) + "\n" for film in FILMS)),
        ("lines.json", "".join(json.dumps(film) + "\n" for film in FILMS)),
    ],
)
@pytest.mark.parametrize("packed", ["", ".gz", ".zip"])
def test_every_format_gives_the_same_records(
    tmp_path: Path, name: str, content: str, packed: str
) -> None:
    path = tmp_path / (name + packed)
    if packed == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    elif packed == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"folder/{name}", content)
    else:
        path.write_text(content, encoding="utf-8", newline="")
    (source,) = opened(tmp_path, str(path))
    wanted = [(f["id"], f["title"], f["overview"], f["genres"]) for f in FILMS]
    assert cells(source) == wanted
    assert source.genre_format is GenreFormat.PIPE


def test_parquet_is_read_also_from_a_zip(tmp_path: Path) -> None:
    films = pd.DataFrame(FILMS)
    films["genres"] = [cell.split("|") for cell in films["genres"]]
    films.to_parquet(tmp_path / "films.parquet")
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.write(tmp_path / "films.parquet", "films.parquet")
    plain, packed = opened(tmp_path, str(tmp_path / "films.parquet"), str(tmp_path / "films.zip"))
    assert cells(plain) == cells(packed)
    assert cells(plain)[0][3] == '["Comedy"]'
    assert plain.genre_format is GenreFormat.LITERAL


def test_imdb_dumps_are_read_with_and_without_a_header(tmp_path: Path) -> None:
    for name, content in (
        ("bare.txt", triple_colons()),
        ("header.txt", "ID ::: TITLE ::: GENRE ::: DESCRIPTION\n" + triple_colons()),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        (source,) = opened(tmp_path, str(tmp_path / name))
        assert cells(source)[0] == ("1000", "Film 0", FILMS[0]["overview"], "Comedy")
        assert len(cells(source)) == 60


def test_an_imdb_dump_without_genres_says_so(tmp_path: Path) -> None:
    lines = "".join(f"{f['id']} ::: {f['title']} ::: {f['overview']}\n" for f in FILMS)
    (tmp_path / "test.txt").write_text(lines, encoding="utf-8")
    with pytest.raises(InputError, match="--genre-column; set it to one of: id, title, desc"):
        opened(tmp_path, str(tmp_path / "test.txt"))


def test_the_cmu_pair_is_joined_and_loses_no_film(tmp_path: Path) -> None:
    def line(key: str, title: str, genres: str) -> str:
        return "\t".join([key, "/m/1", title, "2001", "", "90", "{}", "{}", genres])

    drama = '{"/m/07s9rl0": "Drama", "/m/02l7c8": "Romance Film"}'
    (tmp_path / "movie.metadata.tsv").write_text(
        line("7", 'The "Best"', drama) + "\n" + line("9", "No plot", drama) + "\n"
    )
    (tmp_path / "plot_summaries.txt").write_text(
        "7\tA man waits for a train that never comes.\n8\tUnknown film.\n"
    )
    paths = [str(tmp_path / name) for name in ("plot_summaries.txt", "movie.metadata.tsv")]
    for names in (paths, paths[::-1], [str(tmp_path)]):
        (source,) = opened(tmp_path, *names)
        assert cells(source) == [
            ("7", 'The "Best"', "A man waits for a train that never comes.", drama),
            ("8", "", "Unknown film.", ""),
            ("9", "No plot", "", drama),
        ]
    with pytest.raises(InputError, match="belong together"):
        opened(tmp_path, paths[0])


def test_a_data_set_that_datasets_opens_is_read_by_its_label_names(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    films = pd.DataFrame(FILMS)
    films.to_parquet(folder / "train.parquet")
    (source,) = opened(tmp_path, str(folder))
    assert cells(source)[:1] == [("1000", "Film 0", FILMS[0]["overview"], "Comedy")]
    with pytest.raises(InputError, match="'nobody/nothing' is no file, and no data set"):
        opened(tmp_path, "nobody/nothing")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_separators_inside_fields_break_no_record(tmp_path: Path, end: str) -> None:
    rows = ["id,title,overview,genres"]
    rows += [f'{n},"T, {n}","A man\u2028waits {n}\u0085here.",Drama|War' for n in range(30)]
    (tmp_path / "films.csv").write_text(end.join(rows) + end, encoding="utf-8", newline="")
    (source,) = opened(tmp_path, str(tmp_path / "films.csv"))
    assert [row[0] for row in cells(source)] == [str(n) for n in range(30)]
    assert cells(source)[0][2] == "A man\u2028waits 0\u0085here."


def test_excel_s_line_that_names_the_separator_is_no_header(tmp_path: Path) -> None:
    text = "\ufeffsep=;\r\n" + written_csv([f | {"title": "a,b"} for f in FILMS], ";") + "1;2\r\n"
    (tmp_path / "films.csv").write_text(text, encoding="utf-8", newline="")
    (source,) = opened(tmp_path, str(tmp_path / "films.csv"))
    *good, last = source.records()
    assert len(good) == 60
    assert isinstance(last, Malformed)
    assert last.detail == "line 63: 1 | 2"


def test_a_bare_carriage_return_and_a_newline_inside_quotes_break_no_record(
    tmp_path: Path,
) -> None:
    text = 'id,title,overview,genres\r\n1,A,one\rtwo,Drama\n2,B,"three\n\rfour",War\n'
    (tmp_path / "films.csv").write_text(text, newline="")
    (source,) = opened(tmp_path, str(tmp_path / "films.csv"))
    assert cells(source) == [("1", "A", "one two", "Drama"), ("2", "B", "three\n four", "War")]


def test_a_truncated_file_gives_its_whole_rows(tmp_path: Path) -> None:
    content = written_csv(FILMS[:20])
    truncated = content + '99,Truncated,"It ends in'
    (tmp_path / "films.csv").write_text(truncated, newline="")
    (source,) = opened(tmp_path, str(tmp_path / "films.csv"))
    *good, last = source.records()
    assert len(good) == 20
    assert last == Malformed(
        "truncated inside quotes", "line 22: the file ends inside a quoted field"
    )
    array = json.dumps(FILMS[:20])
    (tmp_path / "films.json").write_text(array[:-30])
    (source,) = opened(tmp_path, str(tmp_path / "films.json"))
    *good, last = source.records()
    assert len(good) == 19
    assert isinstance(last, Malformed)
    (tmp_path / "films.jsonl").write_text("".join(json.dumps(f) + "\n" for f in FILMS) + '{"id": 3')
    (source,) = opened(tmp_path, str(tmp_path / "films.jsonl"))
    assert [isinstance(record, Malformed) for record in source.records()] == [False] * 60 + [True]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252", "cp1251"])
def test_encodings_are_found_out(tmp_path: Path, encoding: str) -> None:
    word = "Приключения в городе" if encoding == "cp1251" else "Amélie déjà vu, señor"
    films = [f | {"title": f"{word} {n}"} for n, f in enumerate(FILMS)]
    (tmp_path / "films.csv").write_bytes(written_csv(films).encode(encoding))
    (source,) = opened(tmp_path, str(tmp_path / "films.csv"))
    assert cells(source)[3][1] == f"{word} 3"
    guessed = encoding.startswith("cp")
    assert [f"read as {encoding}" in note for note in source.table.notes] == [True] * guessed


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_damaged_bytes_in_utf8_spoil_no_other_row_and_are_named(
    tmp_path: Path, suffix: str
) -> None:
    films = [f | {"title": f"Amélie {n} déjà vu"} for n, f in enumerate(FILMS)]
    content = {
        "csv": written_csv(films),
        "jsonl": "".join(json.dumps(f, ensure_ascii=False) + "\n" for f in films),
        "json": json.dumps(films, ensure_ascii=False, indent=0),
    }[suffix].encode()
    path = tmp_path / f"films.{suffix}"
    path.write_bytes(content.replace("Amélie 7 ".encode(), b"Am\xe9lie 7 "))
    (source,) = opened(tmp_path, str(path))
    titles = [row[1] for row in cells(source)]
    assert titles.pop(7) == "Am\ufffdlie 7 déjà vu"
    assert titles == [f["title"] for n, f in enumerate(films) if n != 7]
    (note,) = source.table.notes
    line = path.read_bytes().split(b"\xe9")[0].count(b"\n") + 1
    assert f"damaged bytes in 1 line(s): {line};" in note
    with pytest.raises(InputError, match=rf"--strict: films.{suffix} is UTF-8 with damaged"):
        read_sources(
            [str(path)], SourceOptions(strict=True), TABLE, Path(tempfile.mkdtemp(dir=tmp_path))
        )


def test_an_encoding_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_bytes(written_csv(FILMS).encode() + b"1,\xe9t\xe9,x,y\n")
    with pytest.raises(InputError, match=r"not in --encoding utf-8 \(byte [\d,]+ does not fit"):
        opened(tmp_path, str(tmp_path / "films.csv"), encoding="utf-8")
    with pytest.raises(InputError, match=r"not in --encoding utf-16 \(byte 0 does not fit"):
        opened(tmp_path, str(tmp_path / "films.csv"), encoding="utf-16")
    with pytest.raises(InputError, match="'klingon' is no encoding"):
        opened(tmp_path, str(tmp_path / "films.csv"), encoding="klingon")
    (source,) = opened(tmp_path, str(tmp_path / "films.csv"), encoding="cp1252")
    assert cells(source)[-1][1] == "été"


def test_a_path_that_climbs_out_of_an_archive_is_refused(tmp_path: Path) -> None:
    for name in ("../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "..\\evil.csv", "C:/evil.csv"):
        with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
            archive.writestr(name, written_csv(FILMS))
        with pytest.raises(InputError, match="leads out of the archive"):
            opened(tmp_path, str(tmp_path / "films.zip"))
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_a_bomb_is_refused_before_it_fills_the_disk(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movie_genres.reading.archives.ALWAYS_ALLOWED", 2**20)
    bomb = b"0" * 2**24
    path = tmp_path / f"films.csv.{kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(bomb))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("films.csv", bomb)
    with pytest.raises(InputError, match="expands to more than"):
        opened(tmp_path, str(path))
    written = sum(p.stat().st_size for p in tmp_path.glob("expanded*/**/*") if p.is_file())
    assert written < 2**22


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("films.csv.gz", gzip.compress(b"id,title\n" * 99)[:-9], "cannot be expanded"),
        ("films.zip", b"PK\x03\x04 and nothing", "cannot be expanded"),
        ("films.tar.gz", gzip.compress(b"x"), "is a tar archive; unpack it"),
        ("films.parquet", b"PAR1 and nothing", "not well-formed"),
        ("films.parquet", b"id,title", "no Parquet file"),
        ("films.json", b'{"a": 1}', "must hold one array of objects; found: none"),
        ("films.json", b"[1, 2]", "not well-formed"),
        ("films.json", b'{"a": [', "not well-formed"),
        ("films.csv", b"  \n", "is empty"),
        ("films.csv.bz2", b"BZh91AY&SY", "films.csv.bz2 cannot be expanded"),
        ("films.csv", b"<!DOCTYPE html>\n<html>", "is a web page"),
        ("films.csv", b"version https://git-lfs.github.com/spec/v1\noid", "run: git lfs pull"),
        ("films.csv", b"# exported\na,b,c\n1,2,3\n", "is its first line the header"),
        (
            "a.csv.gz",
            gzip.compress(b"a,b\n" + bytes(range(128, 256)) * 9),
            "^a.csv.gz is not UTF-8",
        ),
        ("films.csv", b'a,b\n"' + b"x" * 2**25, "mark in line 2 is never closed"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        opened(tmp_path, str(tmp_path / name))


def test_an_archive_with_several_files_is_refused_by_their_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
        archive.writestr("__MACOSX/._a.csv", "x")
    with pytest.raises(InputError, match=r"several files \(a.csv, b.csv\)"):
        opened(tmp_path, str(tmp_path / "films.zip"))


def test_text_fields_go_by_role_over_several_sources(tmp_path: Path) -> None:
    rows = [{"Title": f["title"], "Plot": f["overview"], "Genre": f["genres"]} for f in FILMS]
    (tmp_path / "a.csv").write_text(written_csv([f | {"Tagline": "x"} for f in FILMS]), newline="")
    (tmp_path / "b.csv").write_text(written_csv(rows), newline="")
    sources = opened(tmp_path, str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    names, (a, b) = with_text_fields(sources, ["title", "overview", "tagline"])
    assert names == ("title", "plot", "tagline")
    assert next(iter(a.records()))[4] == "x"  # type: ignore[index]
    assert next(iter(b.records()))[4] == ""  # type: ignore[index]
    with pytest.raises(InputError, match="'cast' is not a column; found: id, title"):
        with_text_fields(sources, ["overview", "cast"])
    with pytest.raises(InputError, match="must name the column of the plots too: overview, Plot"):
        with_text_fields(sources, ["title", "tagline"])
