"""A column's separator is found from its cells, and rows that use another one are read too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.fuzz_genres import fuzz_written_genres
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.cells import GenreFormat
from movie_genres.genres.formats import detect_genre_format, names_of_column
from movie_genres.genres.labels import GenreReader
from prepare_dataset import ALIASES

TABLE = GenreAliases.read(ALIASES)
KNOWN = ["Action", "Comedy", "Drama", "Horror", "Romance", "Science Fiction"]
GERMAN = ["Komödie", "Krimi", "Liebesfilm", "Abenteuer", "Heimatfilm", "Zeichentrick"]
RUSSIAN = ["комедия", "драма", "боевик", "мелодрама", "ужасы", "триллер"]
KOREAN = ["코미디", "드라마", "액션", "스릴러", "공포", "멜로"]


def rows_of(names: list[str]) -> list[list[str]]:
    """One to three names a row, in both orders."""
    pairs = [list(pair) for pair in itertools.permutations(names, 2)]
    return [[name] for name in names] + pairs + [[*pair, names[0]] for pair in pairs[-6:]]


def read(cells: list[str]) -> tuple[GenreFormat, list[list[str]], GenreReader]:
    genre_format = detect_genre_format(cells, TABLE)
    reader = GenreReader(genre_format, TABLE.with_seen(names_of_column(cells, genre_format, TABLE)))
    return genre_format, [list(dict.fromkeys(reader(cell).raw)) for cell in cells], reader


@pytest.mark.parametrize("names", [KNOWN, GERMAN, RUSSIAN, KOREAN])
@pytest.mark.parametrize(
    ("separator", "genre_format"),
    [
        ("|", "pipe"), ("; ", "semicolon"), (",", "comma"), ("/", "slash"), (" / ", "slash"),
        ("+", "plus"), (" + ", "plus"), (" - ", "dash"), (" – ", "dash"), ("\n", "line"),
        ("\r\n", "line"), (",\n", "line"), ("\t", "line"), (" · ", "dot"), ("·", "dot"),
        (" • ", "dot"), ("、", "comma"), (" ", "blank"),
    ],
)  # fmt: skip
def test_any_separator_is_found_and_read(
    names: list[str], separator: str, genre_format: str
) -> None:
    rows = [list(dict.fromkeys(row)) for row in rows_of(names)]
    cells = [separator.join(row) for row in rows]
    found, _, reader = read(cells)
    assert found == genre_format
    assert [list(reader(cell).genres) for cell in cells] == [sorted(row) for row in rows]


@pytest.mark.parametrize("names", [KNOWN, GERMAN])
@pytest.mark.parametrize(
    ("most", "few"), [(", ", "|"), (", ", " / "), ("|", ", "), (";", ","), ("|", " ")]
)
def test_rows_with_another_separator_than_most_are_read_by_theirs(
    names: list[str], most: str, few: str
) -> None:
    rows = [list(dict.fromkeys(row)) for row in rows_of(names)] * 3
    cells = [(few if n % 10 == 0 else most).join(row) for n, row in enumerate(rows)]
    reader = read(cells)[2]
    assert [list(reader(cell).genres) for cell in cells] == [sorted(row) for row in rows]


def test_known_names_that_hold_a_separator_stay_whole() -> None:
    whole = ["Action/Adventure", "Sci-Fi", "Film-Noir", "Rom-Com", "Comedy/Drama", "Talk-Show"]
    whole += ["Mystery & thriller", "Kids & Family", "Sci-Fi & Fantasy"]
    for separator in (" / ", ", ", "|", " - "):
        rows = [list(pair) for pair in itertools.permutations(whole, 2)]
        _, labels, reader = read([separator.join(row) for row in rows])
        assert labels == rows
        assert not any(reader(separator.join(row)).split for row in rows)


def test_an_ampersand_between_names_that_nothing_else_shows_apart_is_part_of_a_name() -> None:
    names = ["Krieg & Politik", "Land & Leute", "Liebe"]
    assert read([", ".join(pair) for pair in itertools.permutations(names, 2)])[1] == [
        list(pair) for pair in itertools.permutations(names, 2)
    ]
    assert read(names)[1] == [[name] for name in names]


def test_blanks_inside_unlisted_names_are_kept_where_a_row_has_one() -> None:
    names = ["Film d'auteur", "Sword and Planet", "True Adventure", "Very Odd", "Quite Odd"]
    assert read(names * 5)[1] == [[name] for name in names] * 5


def test_between_blanks_a_label_of_the_table_may_be_two_genres() -> None:
    genre_format, labels, _ = read(["Family Drama", "Drama Crime", "Drama Family War", "Crime War"])
    assert genre_format is GenreFormat.BLANK
    assert labels[0] == ["Family", "Drama"]
    assert read(["Family Drama, War", "Crime, War"])[1][0] == ["Family Drama", "War"]


def test_labels_that_are_others_side_by_side_are_reported() -> None:
    cells = ["Comedy, Drama", "Comedy War, Crime", "Liebe, Krimi", "Krimi", "Liebe Krimi", "Liebe"]
    _, labels, reader = read(cells)
    assert labels[1] == ["Comedy", "War", "Crime"]
    assert labels[4] == ["Liebe", "Krimi"]
    assert reader(cells[1]).split == ("Comedy War",)
    assert reader(cells[4]).split == ("Liebe Krimi",)
    kept = GenreReader(GenreFormat.COMMA, TABLE.with_known(["Comedy War"]))
    assert kept("Comedy War, Crime").raw == ("Comedy War", "Crime")


def test_entities_are_characters_before_anything_is_separated() -> None:
    cells = ["Action &amp; Adventure; Drama", "Children&#39;s; Drama", "Drama &amp;amp; War; Crime"]
    assert read(cells)[1] == [
        ["Action & Adventure", "Drama"], ["Children's", "Drama"], ["Drama", "War", "Crime"]
    ]  # fmt: skip


def test_words_and_signs_between_known_names_separate_them() -> None:
    cells = ["Komödie und Krimi", "Krimi", "Komödie, Liebe", "Liebe, Krimi", "#drama #war"]
    cells += ["Drama: War", "Comedy, Drama and War"]
    _, labels, _ = read(cells * 2)  # a name is one that occurs twice
    assert labels[0] == ["Komödie", "Krimi"]
    assert labels[4:7] == [["drama", "war"], ["Drama", "War"], ["Comedy", "Drama", "War"]]


def test_tmdb_s_ids_are_genres_in_every_format() -> None:
    for cells in (["28|12"] * 3, ["28, 12"] * 3, ["[28, 12]"] * 3, ["28 12"] * 3, ["28.0;12.0"]):
        _, labels, reader = read(cells)
        assert TABLE.canonical(labels[0]).genres == ["Action", "Adventure"]
        assert not reader(cells[0]).split


def test_a_sign_after_a_name_is_part_of_it() -> None:
    assert read(["LGBTQ+, Drama", "18+, War"])[1] == [["LGBTQ+", "Drama"], ["18+", "War"]]


def test_equal_labels_with_film_or_movie_are_the_genre_itself() -> None:
    for genre in TABLE.genres():
        for ending in ("film", "films", "movie", "Movies", "TV series"):
            assert TABLE.canonical([f"{genre} {ending}"]).genres == [genre]
    for label in ("Action and Adventure", "Action / Adventure", "Zombie Movies", "Neo noir"):
        assert not TABLE.canonical([label]).unlisted
    assert TABLE.canonical(["Film"]).unlisted == ["Film"]


def test_genres_in_random_formats_are_read_back() -> None:
    assert fuzz_written_genres(np.random.default_rng(1), 4000).total() >= 4000
