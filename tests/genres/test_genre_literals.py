"""What programs write as a list of genres is read as one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.cells import GenreFormat, parse_genres
from movie_genres.genres.formats import detect_genre_format
from prepare_dataset import ALIASES

TABLE = GenreAliases.read(ALIASES)
NAMES = ["Science Fiction", "War"]
MANY = [*NAMES, "Crime", "Children's", "Comedy", "Action & Adventure", "Horror", "Mystery"]


@pytest.mark.parametrize(
    "cell",
    [
        str(np.array(NAMES)),
        repr(np.array(NAMES, dtype=object)),
        "array(['Science Fiction', 'War'],\n      dtype=object)",
        "[b'Science Fiction' b'War']",
        "('Science Fiction', 'War')",
        "{'Science Fiction', 'War'}",
        "frozenset({'Science Fiction', 'War'})",
        "[Science Fiction, War]",
        '{"Science Fiction",War}',
        "[{id=878, name=Science Fiction}, {id=10752, name=War}]",
        '[{"genre": "Science Fiction"}, {"genre": "War"}]',
        '[{"id": "4", "description": "Science Fiction"}, {"id": "5", "description": "War"}]',
        '[{"genre_id": 4, "value": "Science Fiction"}, {"genre_id": 5, "value": "War"}]',
        '[{"href": "a", "Genre": "Science Fiction"}, {"href": "b", "Genre": "War"}]',
        '[{"kind": "Science Fiction"}, {"kind": "War"}]',
        '{"genres": [{"text": "Science Fiction"}, {"text": "War"}]}',
        '{"Science Fiction": 3, "War": 1}',
        '{"Science Fiction": true, "Comedy": false, "War": true}',
        '{"/m/1": "Science Fiction", "/m/2": "War"}',
        '["Science Fiction", null, "War", NaN]',
        "['Science Fiction', None, 'War']",
        "[\"['Science Fiction', 'War']\"]",
        '"[\\"Science Fiction\\", \\"War\\"]"',
        json.dumps(json.dumps(json.dumps(NAMES))),
        "b'Science Fiction|War'",
        "[\"b'Science Fiction'\", \"b'War'\"]",
        "[878, 10752]",
        "[878.0, 10752.0]",
        '["Science Fiction, War"]',
        '["Science Fiction &amp; War"]',
        "['Science Fiction War']",
    ],
)
def test_every_way_to_write_a_list_is_known_and_read(cell: str) -> None:
    assert detect_genre_format([cell]) is GenreFormat.LITERAL
    labels = parse_genres(cell, GenreFormat.LITERAL, TABLE)
    assert TABLE.canonical(labels).genres == NAMES


def test_numpy_s_long_lists_are_read_over_their_line_breaks() -> None:
    for cell in (str(np.array(MANY)), repr(np.array(MANY, dtype=object))):
        assert "\n" in cell
        assert parse_genres(cell, GenreFormat.LITERAL) == MANY


@pytest.mark.parametrize(
    "cell",
    [
        "['Action' 'Drama'",
        "[Action, [Drama]]",
        "[true, false]",
        "7",
        "true",
        '[{"id": 1}]',
        '[{"id": "tt1"}]',
        '{"id": 28}',
        "[{'a': 'x', 'b': 'y'}]",
        "{Action: Drama}",
        "[[[[[[['Drama']]]]]]]",
        "[Drama].pop()",
    ],
)
def test_what_is_no_list_of_names_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="neither JSON|a genre without a name|not a list"):
        parse_genres(cell, GenreFormat.LITERAL, TABLE)


def test_nothing_is_no_genre_and_no_error() -> None:
    for cell in ("[]", "{}", "()", "[null]", '[{"name": null}]', '[""]', "set()"):
        assert parse_genres(cell, GenreFormat.LITERAL) == []
    assert TABLE.canonical(parse_genres("nan", GenreFormat.LITERAL, TABLE)).genres == []


def test_a_number_that_the_table_does_not_list_is_refused_by_name() -> None:
    for cell in ("[28, 99999]", "[28 99999]"):
        with pytest.raises(ValueError, match="a number that the alias table does not list"):
            parse_genres(cell, GenreFormat.LITERAL, TABLE)
    assert parse_genres("28|99999", GenreFormat.PIPE, TABLE.with_known(["99999"])) == [
        "28", "99999"
    ]  # fmt: skip


def test_a_long_broken_list_does_not_take_long() -> None:
    for cell in ("['a' " * 3000, "['" + "\\" * 5000, "[" + "'a'   " * 3000 + "x]", "{" * 9000):
        with pytest.raises(ValueError, match="neither JSON"):
            parse_genres(cell, GenreFormat.LITERAL)
