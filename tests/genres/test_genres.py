from __future__ import annotations

from pathlib import Path

import pytest

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.cells import GenreFormat, parse_genres
from movie_genres.genres.formats import detect_genre_format
from movie_genres.genres.labels import GenreReader
from prepare_dataset import ALIASES


@pytest.mark.parametrize(
    ("value", "genre_format"),
    [
        ("[{'id': 1, 'name': 'Crime'}, {'id': 2, 'name': 'War'}]", GenreFormat.LITERAL),
        ('[{"id": 1, "name": "Crime"}, {"id": 2, "name": "War"}]', GenreFormat.LITERAL),
        ("['Crime', 'War']", GenreFormat.LITERAL),
        ('{"/m/0lsxr": "Crime", "/m/082gq": "War"}', GenreFormat.LITERAL),
        ('"Crime",  "War"', GenreFormat.QUOTED),
        ("Crime|War", GenreFormat.PIPE),
        ("Crime; War", GenreFormat.SEMICOLON),
        ("Crime / War", GenreFormat.SLASH),
        ("Crime, War", GenreFormat.COMMA),
        (" Crime,War,,Crime ", GenreFormat.COMMA),
    ],
)
def test_each_format_is_recognised_and_parsed(value: str, genre_format: GenreFormat) -> None:
    assert detect_genre_format([value, " "]) == genre_format
    assert parse_genres(value, genre_format) == ["Crime", "War"]


def test_whitespace_is_no_genre_in_every_format() -> None:
    for genre_format in GenreFormat:
        assert parse_genres("  ", genre_format) == []
    assert parse_genres("[]", GenreFormat.LITERAL) == []


@pytest.mark.parametrize(
    "value", ["[{'id': 1}]", "['a'", "7", "__import__('os')", "[" * 5000, "{[]: 1}", '["\\ud800"]']
)
def test_what_is_no_list_of_names_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"genre|literal|list|half"):
        parse_genres(value, GenreFormat.LITERAL)


@pytest.mark.parametrize(
    ("value", "genre_format"),
    [("Drama|Crime\ud800", GenreFormat.PIPE), ('"Crime\ud800"', GenreFormat.QUOTED)],
)
def test_half_a_character_in_a_name_is_refused_in_every_format(
    value: str, genre_format: GenreFormat
) -> None:
    with pytest.raises(ValueError, match="half a character"):
        parse_genres(value, genre_format)


def test_a_pipe_in_one_row_decides_a_column_whose_names_hold_commas() -> None:
    values = ["Crime, Law", "Crime, Law|War", "War"]
    assert detect_genre_format(values) == GenreFormat.PIPE


def test_a_stray_pipe_does_not_decide_a_column_of_commas() -> None:
    assert detect_genre_format(["Crime, War"] * 99 + ["Crime|War"]) == GenreFormat.COMMA


def test_aliases_split_drop_and_keep_unlisted_labels() -> None:
    aliases = GenreAliases.read(ALIASES)
    found = aliases.canonical(["romantic  DRAMA", "Black-and-white", "Sci-Fi", "Telenovela"])
    assert found.genres == ["Drama", "Romance", "Science Fiction", "Telenovela"]
    assert found.dropped == ["Black-and-white"]
    assert found.unlisted == ["Telenovela"]


def test_canonical_names_of_the_table_are_their_own_alias() -> None:
    aliases = GenreAliases.read(ALIASES)
    for name in ("Science Fiction", "Family", "War", "Coming of Age", "Period"):
        assert aliases.canonical([name]).genres == [name]


def test_a_table_that_lists_a_label_twice_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "aliases.csv"
    table.write_text("raw,genres\nSci-Fi,Science Fiction\nsci-fi,Fantasy\n", encoding="utf-8")
    with pytest.raises(InputError, match="'sci-fi' twice"):
        GenreAliases.read(table)


def test_a_label_that_holds_the_separator_survives_if_it_is_known() -> None:
    aliases = GenreAliases.read(ALIASES)
    arts = "Arts, Entertainment, and Culture"
    cell = f"Drama, {arts}, War"
    assert parse_genres(cell, GenreFormat.COMMA, aliases.with_known([arts])) == [
        "Drama", arts, "War"
    ]  # fmt: skip
    assert len(parse_genres(cell, GenreFormat.COMMA, aliases)) == 5
    assert parse_genres("Action/Adventure / War", GenreFormat.SLASH, aliases) == [
        "Action/Adventure", "War"
    ]  # fmt: skip
    assert aliases.with_known([arts]).canonical([arts]).unlisted == []


def test_equal_cells_are_read_once() -> None:
    reader = GenreReader(GenreFormat.PIPE, GenreAliases.read(ALIASES))
    assert reader("Sci-Fi|War") is reader("Sci-Fi|War")
    assert reader("Sci-Fi|War").genres == ("Science Fiction", "War")
    literal = GenreReader(GenreFormat.LITERAL, GenreAliases.read(ALIASES))
    assert "neither JSON nor" in literal("[oops").error


@pytest.mark.parametrize("cell", ["['Crime', 'War']", '[{"name": "Crime"}]', '{"a": "Crime"}'])
def test_a_list_in_a_column_of_names_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="a list among names"):
        parse_genres(cell, GenreFormat.PIPE)


def test_a_row_with_another_separator_than_its_column_s_is_read_if_its_pieces_are_known() -> None:
    aliases = GenreAliases.read(ALIASES)
    assert parse_genres("Crime, War", GenreFormat.PIPE, aliases) == ["Crime", "War"]
    for cell in ("Drama|Crime;War", "Drama|Crime, War", "Drama|Crime / War"):
        assert parse_genres(cell, GenreFormat.PIPE, aliases) == ["Drama", "Crime", "War"]
    # A name that holds a comma is no such row, nor is one that the table lists.
    assert parse_genres("Crime, Law|War", GenreFormat.PIPE, aliases) == ["Crime, Law", "War"]
    further = aliases.with_known(["Crime, War"])
    assert parse_genres("Crime, War|Drama", GenreFormat.PIPE, further) == ["Crime, War", "Drama"]
