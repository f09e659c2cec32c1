"""The words of a column's name, in camel case and in every script."""

from __future__ import annotations

import unicodedata

import pytest

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.reading.column_names import normal_name
from movie_genres.reading.columns import field_names, find_columns
from prepare_dataset import ALIASES

TABLE = GenreAliases.read(ALIASES)
PLOT = "A man of the town goes to the sea and finds a letter in his house"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("imdbID", "imdb_id"),
        ("movieId", "movie_id"),
        ("IMDb ID", "imdb_id"),
        ("TMDbId", "tmdb_id"),
        ("genreIDs", "genre_ids"),
        ("primaryTitle", "primary_title"),
        ("plotSummary", "plot_summary"),
        ("PLOT-SUMMARY", "plot_summary"),
        (" Plot  Summary ", "plot_summary"),
        ("DVDTitle", "dvd_title"),
        ("Genre1", "genre_1"),
        ("Genre(s)", "genre_s"),
        ("Название", "название"),
        ("названиеФильма", "название_фильма"),
        ("あらすじ", "あらすじ"),
        ("कहानी", "कहानी"),
        ("Straße", "strasse"),
        ("№?", "№?"),
        ("", ""),
    ],
)
def test_a_name_is_its_words_in_lower_case(name: str, words: str) -> None:
    assert normal_name(name) == words
    assert normal_name(words) == words


def test_one_name_in_two_unicode_forms_is_one_name() -> None:
    decomposed = unicodedata.normalize("NFD", "Режиссёр Résumé")
    assert normal_name(decomposed) == normal_name("режиссёр résumé") == "режиссёр_résumé"


def test_columns_in_camel_case_are_found() -> None:
    head = {
        "imdbID": ["tt1"], "originalTitle": ["B"], "primaryTitle": ["A"],
        "plotSummary": [PLOT], "movieGenres": ["Drama"],
    }  # fmt: skip
    found = find_columns(head, TABLE, text_column=None, genre_column=None, title_column=None)
    assert found == {
        "id": "imdbID", "title": "primaryTitle", "plot": "plotSummary", "raw_genres": "movieGenres"
    }  # fmt: skip


def test_a_missing_column_of_another_script_is_not_taken_for_a_present_one() -> None:
    with pytest.raises(InputError, match="--text-column 'Описание' is not a column; found: Назв"):
        field_names(["Название", "Жанр"], "Описание")
    with pytest.raises(InputError, match="'★' is not a column"):
        field_names(["☆", "Жанр"], "★")
    names = field_names(["Название", "Слоган", "Режиссёр", "Описание"], "ОПИСАНИЕ", "название")
    assert list(names.values()) == ["title", "слоган", "режиссёр", "plot"]
