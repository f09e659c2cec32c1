"""Files as people have them: odd line ends, quotation marks, encodings, archives, no header."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest
from conftest import made_up_films
from test_sources import FILMS, cells, opened, written_csv

from movie_genres.errors import InputError

JAPANESE = "失われた手紙を探す探偵は、東京の夜に友人とともに古い家を訪れる"
CHINESE = "一个男人在城市里寻找他失散多年的兄弟，却发现了一个秘密"


def test_records_that_end_with_lf_crlf_and_bare_cr_in_turn_are_all_read(tmp_path: Path) -> None:
    header, *lines = written_csv(FILMS[:-1]).splitlines()
    ends = ["\r\n", "\n", "\r"]
    text = f"{header}\n" + "".join(line + ends[n % 3] for n, line in enumerate(lines))
    (tmp_path / "films.csv").write_text(text + "99,T,a\rb,Drama\n", newline="")
    (source,) = opened(tmp_path, str(tmp_path / "films.csv"))
    assert [row[0] for row in cells(source)] == [f["id"] for f in FILMS[:-1]] + ["99"]
    assert cells(source)[-1][2] == "a b"  # a CR inside a text is still one


def test_quotation_marks_may_be_escaped_by_backslashes(tmp_path: Path) -> None:
    rows = [f'{n},"He says \\"no, never\\", and goes",Drama|War' for n, _ in enumerate(FILMS)]
    (tmp_path / "films.csv").write_text("\n".join(["id,overview,genres", *rows]) + "\n")
    (source,) = opened(tmp_path, str(tmp_path / "films.csv"))
    assert cells(source)[7][2] == 'He says "no, never", and goes'
    # Where marks are doubled, a backslash before one is a backslash.
    rows = [f'{n},"In C:\\""Films"" he waits",Drama|War' for n, _ in enumerate(FILMS)]
    (tmp_path / "films.csv").write_text("\n".join(["id,overview,genres", *rows]) + "\n")
    (source,) = opened(tmp_path, str(tmp_path / "films.csv"))
    assert cells(source)[7][2] == 'In C:\\"Films" he waits'


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_wide_encodings_without_their_mark_are_known(tmp_path: Path, encoding: str) -> None:
    films = [film | {"title": f"Amélie {n}"} for n, film in enumerate(FILMS)]
    for name, text in (("a.csv", written_csv(films)), ("b.json", json.dumps(films))):
        (tmp_path / name).write_bytes(text.encode(encoding))
        (source,) = opened(tmp_path, str(tmp_path / name))
        assert cells(source)[3][1] == "Amélie 3"
        assert source.table.columns[0] == "id"


@pytest.mark.parametrize(
    ("encoding", "word"), [("cp932", JAPANESE), ("euc_jp", JAPANESE), ("gb18030", CHINESE)]
)
def test_titles_of_another_script_in_an_english_file_are_read_or_refused_by_name(
    tmp_path: Path, encoding: str, word: str
) -> None:
    films = [f | {"title": word[n % 9 :] if n % 5 == 0 else "T"} for n, f in enumerate(FILMS)]
    (tmp_path / "films.csv").write_bytes(written_csv(films).encode(encoding))
    try:
        (source,) = opened(tmp_path, str(tmp_path / "films.csv"))
    except InputError as error:
        assert encoding in str(error)
        assert "name its --encoding" in str(error)
    else:
        assert [row[1] for row in cells(source)] == [film["title"] for film in films]


def test_a_few_accents_do_not_make_a_file_another_script_s(tmp_path: Path) -> None:
    films = [f | {"title": "Amélie" if n == 40 else "T"} for n, f in enumerate(FILMS)]
    (tmp_path / "films.csv").write_bytes(written_csv(films).encode("cp1252"))
    (source,) = opened(tmp_path, str(tmp_path / "films.csv"))
    assert cells(source)[40][1] == "Amélie"


def test_a_file_without_a_header_loses_no_film_in_silence(tmp_path: Path) -> None:
    films = [f | {"overview": f"{f['overview']} and so it goes on and on"} for f in FILMS]
    _, *lines = written_csv(films).splitlines()
    (tmp_path / "films.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(
        InputError, match=r"has no header: its first line holds 'jokes .*add a line"
    ):
        opened(tmp_path, str(tmp_path / "films.csv"))


def test_an_archive_in_an_archive_is_named(tmp_path: Path) -> None:
    packed = gzip.compress(written_csv(FILMS).encode())
    (tmp_path / "twice.csv.gz").write_bytes(gzip.compress(packed))
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr("films.csv.gz", packed)
    for name, inner in (("twice.csv.gz", "twice.csv"), ("films.zip", "films.csv.gz")):
        with pytest.raises(InputError, match=rf"{name} holds another archive, {inner}; unpack"):
            opened(tmp_path, str(tmp_path / name))
    (tmp_path / "base.gz").write_bytes(gzip.compress(b"SQLite format 3\x00"))
    with pytest.raises(InputError, match=r"base.gz holds base, which is an SQLite database"):
        opened(tmp_path, str(tmp_path / "base.gz"))


def test_a_readme_beside_the_films_of_an_archive_is_no_data(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr("set/films.csv", written_csv(FILMS))
        archive.writestr("set/README.md", "About the films")
        archive.writestr("set/LICENSE", "Free")
        archive.writestr("set/.DS_Store", b"\x00")
    (source,) = opened(tmp_path, str(tmp_path / "films.zip"))
    assert len(cells(source)) == 60


def test_json_as_pandas_writes_it_is_refused_with_the_remedy(tmp_path: Path) -> None:
    columns = {"overview": {"0": "A man", "1": "A dog"}, "genres": {"0": "War", "1": "Drama"}}
    (tmp_path / "films.json").write_text(json.dumps(columns))
    with pytest.raises(InputError, match=r"to_json\(orient='records'\)"):
        opened(tmp_path, str(tmp_path / "films.json"))


def test_identical_splits_of_a_data_set_are_reported(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    films = made_up_films(60)
    for name, rows in (("train", films), ("validation", films), ("test", films[:20])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (source,) = opened(tmp_path, str(folder))
    assert source.table.notes[1:] == [f"train and validation of {folder} are identical"]


def test_a_folder_that_holds_no_data_set_says_why(tmp_path: Path) -> None:
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "mixed" / "b.csv").write_text("c,d\n1,2\n")
    with pytest.raises(InputError, match="Schema at index 1 was different"):
        opened(tmp_path, str(tmp_path / "mixed"))
