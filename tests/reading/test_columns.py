"""Columns are found by name, in camel case and every script, and by content."""

from __future__ import annotations

import unicodedata

import pytest
from conftest import made_up_films

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.reading.columns import field_names, find_columns, normal_name
from movie_genres.reading.genre_columns import find_genre_columns
from prepare_dataset import ALIASES

TABLE = GenreAliases.read(ALIASES)
FILMS = made_up_films(60)
PLOTS = [f"The man of {f['title']} goes to the town and finds a letter in his house" for f in FILMS]
GENRES = [f["genres"] for f in FILMS]
CAST = ["Ann Lee|Bo Roe Smith|Lou van der Berg"] * 60


def found(**head: list[str]) -> dict[str, str | None]:
    genres = find_genre_columns(head, TABLE).name
    return find_columns(head, text_column=None, genre_column=genres, title_column=None)


def test_names_are_found_whatever_their_case_and_whitespace() -> None:
    columns = found(**{" Movie-Name": ["A"] * 60, "OVERVIEW ": PLOTS, "Listed In": GENRES})
    assert columns == {
        "id": None, "title": " Movie-Name", "plot": "OVERVIEW ", "raw_genres": "Listed In"
    }  # fmt: skip


def test_columns_without_known_names_are_found_by_their_content() -> None:
    columns = found(stars=CAST, body=PLOTS, tags=GENRES, keywords=["dog|sea"] * 60)
    assert columns["plot"] == "body"
    assert columns["raw_genres"] == "tags"


def test_a_cast_with_pipes_is_neither_genres_nor_a_plot() -> None:
    with pytest.raises(InputError, match="no column found for --genre-column; set it to one of"):
        found(cast=CAST, overview=PLOTS, keywords=["dog|sea"] * 60)
    with pytest.raises(InputError, match="no column found for --text-column"):
        found(cast=CAST, genres=GENRES, director=["Ann Lee"] * 60)


def test_content_decides_between_two_names_and_empty_columns_do_not_count() -> None:
    assert found(category=["Movie"] * 60, genre=GENRES, plot=PLOTS)["raw_genres"] == "genre"
    assert found(genres=[" "] * 60, genre=["Weird"] * 60, plot=PLOTS)["raw_genres"] == "genre"
    with pytest.raises(InputError, match="several columns could be meant: overview, plot"):
        found(overview=PLOTS, plot=PLOTS, genres=GENRES)


def test_other_usual_names_of_titles_and_plots_are_known() -> None:
    columns = found(**{"Film Title": ["A"] * 60, "Plot Synopsis": PLOTS, "Genre(s)": GENRES})
    assert (columns["title"], columns["plot"]) == ("Film Title", "Plot Synopsis")
    columns = found(**{"STORY LINE": ["Short."] * 60, "Series_Title": ["A"] * 60, "genre": GENRES})
    assert (columns["title"], columns["plot"]) == ("Series_Title", "STORY LINE")


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
    columns = found(
        imdbID=["tt1"], originalTitle=["B"], primaryTitle=["A"],
        plotSummary=[PLOTS[0]], movieGenres=["Drama"],
    )  # fmt: skip
    assert columns == {
        "id": "imdbID", "title": "primaryTitle", "plot": "plotSummary", "raw_genres": "movieGenres"
    }  # fmt: skip


def test_a_missing_column_of_another_script_is_not_taken_for_a_present_one() -> None:
    with pytest.raises(InputError, match="--text-column 'Описание' is not a column; found: Назв"):
        field_names(["Название", "Жанр"], "Описание")
    with pytest.raises(InputError, match="'★' is not a column"):
        field_names(["☆", "Жанр"], "★")
    names = field_names(["Название", "Слоган", "Режиссёр", "Описание"], "ОПИСАНИЕ", "название")
    assert list(names.values()) == ["title", "слоган", "режиссёр", "plot"]
