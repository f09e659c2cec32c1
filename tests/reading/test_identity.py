"""Ids and years are found by the names people use, and one film's id is one id."""

from __future__ import annotations

import pytest

from movie_genres.errors import InputError
from movie_genres.reading.columns import find_columns
from movie_genres.reading.identity import find_id, find_year, id_key, is_imdb, unused_split

NUMBERS = [str(n) for n in range(100, 160)]


@pytest.mark.parametrize(
    "name",
    [
        *("id", "ID", "movieId", "movie_id", "tmdbId", "TMDB_ID", "imdbID", "imdb_title_id"),
        *("IMDb-Id", "tconst", "Const", "film_id", "FilmId", "show_id", "title_id", "titleId"),
        *("imdb", "tmdb", "wikidata", "wikidata_id", "wikipedia_movie_id", "netflix_id", "url"),
    ],
)
def test_a_column_of_ids_is_found_by_the_names_people_use(name: str) -> None:
    assert find_id({"year": ["1999"] * 60, name: NUMBERS, "title": NUMBERS}) == name


def test_a_column_of_ids_is_filled_and_varied() -> None:
    twice = [number for number in NUMBERS[:30] for _ in range(2)]
    assert find_id({"movieId": twice}) == "movieId"
    assert find_id({"id": ["", "N/A"] * 30, "movieId": NUMBERS}) == "movieId"
    assert find_id({"id": ["1", "2", "3"] * 20, "imdbID": twice}) == "imdbID"
    assert find_id({"show_id": ["NULL"] * 60, "director_id": NUMBERS}) is None


def test_a_requested_column_of_ids_is_taken_or_refused() -> None:
    head = {"id": NUMBERS, "code": NUMBERS, "plot": NUMBERS, "genre": ["War", "Drama"] * 30}

    def columns(name: str) -> str | None:
        return find_columns(
            head, text_column="plot", genre_column="genre", title_column=None, id_column=name
        )["id"]

    assert columns("Code") == "code"
    with pytest.raises(InputError, match="--id-column 'isbn' is not a column; found: id, code"):
        columns("isbn")


@pytest.mark.parametrize(
    ("cell", "imdb", "key"),
    [
        ("862", False, "862"),
        ("862.0", False, "862"),
        (" 0862 ", False, "862"),
        ("862.5", False, "862.5"),
        ("tt0114709", False, "tt0114709"),
        ("TT114709", False, "tt0114709"),
        ("tt10114709", False, "tt10114709"),
        ("https://www.imdb.com/title/tt0114709/?ref_=x", False, "tt0114709"),
        ("114709", True, "tt0114709"),
        ("0114709.0", True, "tt0114709"),
        ("114709", False, "114709"),
        ("Q171048", False, "Q171048"),
        ("0", True, ""),
        ("0.0", False, ""),
        ("None", False, ""),
        ("²", False, "²"),
    ],
)
def test_ways_to_write_one_id_give_one_key(cell: str, imdb: bool, key: str) -> None:
    assert id_key(cell, imdb=imdb) == key


def test_numbers_are_ids_of_imdb_only_where_the_column_says_so() -> None:
    assert [name for name in ("imdbId", "imdb_title_id", "tconst", "movieId", "id") if is_imdb(name)
            ] == ["imdbId", "imdb_title_id", "tconst"]  # fmt: skip


def test_years_are_found_by_name_and_content() -> None:
    dates = ["1995-10-30", "12/15/1995", "", "30 Oct 1995"]
    assert find_year({"release_date": dates, "startYear": ["\\N"] * 4}) == "release_date"
    assert find_year({"released": ["yes", "no", "yes", "yes"], "Release Year": ["1901.0"] * 4}) == (
        "Release Year"
    )
    assert find_year({"year": ["", "??", "12", "19999"]}) is None


def test_a_column_of_splits_that_nobody_asked_for_is_noticed() -> None:
    assert unused_split({"Split": ["Train", " test", "valid"]}) == "Split"
    assert unused_split({"split": ["a", "test"], "set": ["train", "train"]}) is None
