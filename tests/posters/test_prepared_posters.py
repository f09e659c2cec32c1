"""The column `image` of a prepared folder."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import made_up_films, prepare, write_csv
from datasets import load_dataset
from made_up_posters import poster

from movie_genres import InputError, load_prepared
from movie_genres.files import file_sha256
from movie_genres.posters.pictures import DAMAGED, IDENTICAL
from movie_genres.posters.prepared import posters_of

FILMS = made_up_films(60)


def images(folder: Path) -> dict[str, bool]:
    """By film, whether it has a poster."""
    found = {}
    for path in sorted((folder / "data").glob("*.parquet")):
        for row in pq.read_table(path, columns=["id", "image"]).to_pylist():
            found[row["id"]] = row["image"] is not None
    return found


def test_films_get_their_posters_and_all_else_stays(tmp_path: Path) -> None:
    source, pictures = write_csv(tmp_path / "films.csv", FILMS), tmp_path / "posters"
    pictures.mkdir()
    for film in FILMS[:40]:
        poster(film).save(pictures / f"{film['id']}.png")
    placeholder = poster(FILMS[0])
    for film in FILMS[40:43]:
        placeholder.save(pictures / f"{film['id']}.jpg")
    (pictures / f"{FILMS[43]['id']}.jpg").write_bytes(b"\xff\xd8 no more")
    assert prepare(source, tmp_path / "plain") == 0
    assert prepare(source, tmp_path / "with", "--image-dir", str(pictures)) == 0
    having = [film for film, has in images(tmp_path / "with").items() if has]
    assert sorted(having) == [film["id"] for film in FILMS[:40]]
    report = json.loads((tmp_path / "with/report.json").read_text())
    assert sum(report["posters"]["films"].values()) == 40
    assert report["posters"]["dropped"].keys() == {DAMAGED, IDENTICAL}
    assert report["posters"]["dropped"][DAMAGED] == [f"{FILMS[43]['id']}.jpg"]
    assert len(report["posters"]["dropped"][IDENTICAL]) == 3
    for name in ("train", "validation", "test"):
        plain, with_posters = (
            pq.read_table(tmp_path / folder / f"data/{name}-00000-of-00001.parquet")
            for folder in ("plain", "with")
        )
        assert with_posters.drop_columns(["image"]).equals(plain)
    for name in ("labels.json", "rejected.csv"):
        assert file_sha256(tmp_path / "plain" / name) == file_sha256(tmp_path / "with" / name)
    prepared = load_prepared(tmp_path / "with")
    rows, found = posters_of(prepared, "train")
    assert len(rows) == len(found) == report["posters"]["films"]["train"]
    opened = load_dataset(str(tmp_path / "with"), cache_dir=str(tmp_path / "cache"))["train"]
    assert opened[int(rows[0])]["image"].size == (40, 60)


def test_rows_of_one_film_may_share_its_poster(tmp_path: Path) -> None:
    twice = [film | {"overview": f"Told again: {film['overview']}"} for film in FILMS[:3]]
    source = write_csv(tmp_path / "films.csv", [*FILMS, *twice])
    pictures = tmp_path / "posters"
    pictures.mkdir()
    for film in FILMS:
        poster(film).save(pictures / f"{film['id']}.png")
    assert prepare(source, tmp_path / "with", "--image-dir", str(pictures)) == 0
    assert all(images(tmp_path / "with").values())


def test_a_folder_without_a_picture_of_any_film_is_refused(tmp_path: Path) -> None:
    pictures = tmp_path / "posters"
    pictures.mkdir()
    poster(FILMS[0]).save(pictures / "1.png")  # the number of a row, should ids be missing
    nameless = [{k: v for k, v in film.items() if k != "id"} for film in FILMS]
    for name, films in {"others": FILMS, "without": nameless}.items():
        source = write_csv(tmp_path / f"{name}.csv", films)
        with pytest.raises(InputError, match="no usable picture of any film"):
            prepare(source, tmp_path / name, "--image-dir", str(pictures))
        assert not (tmp_path / name).exists()
