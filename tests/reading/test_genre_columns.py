"""Genres that are in several columns, in columns of 0 and 1, or in a fuller column than `genre`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence

import pytest

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.formats import detect_genre_format
from movie_genres.genres.labels import GenreReader
from movie_genres.reading.genre_columns import find_genre_columns
from movie_genres.reading.joined import GenreColumns
from prepare_dataset import ALIASES

TABLE = GenreAliases.read(ALIASES)
NAMES = ["Action", "Comedy", "Drama", "Horror", "Science Fiction"]
FILMS = [list(names) for n in (1, 2, 3) for names in itertools.permutations(NAMES, n)]
IDS = {"Action": 28, "Comedy": 35, "Drama": 18, "Horror": 27, "Science Fiction": 878}
OTHERS = {
    "title": [f"Film {n}" for n, _ in enumerate(FILMS)],
    "overview": [f"A man of {n} goes to the town and finds a letter" for n, _ in enumerate(FILMS)],
}


def nth(number: int) -> list[str]:
    return [film[number] if number < len(film) else "" for film in FILMS]


def flags(names: Sequence[str] = NAMES, yes: str = "1", no: str = "0") -> dict[str, list[str]]:
    return {
        name: [yes if genre in film else no for film in FILMS]
        for name, genre in zip(names, NAMES, strict=True)
    }


def found(
    columns: Mapping[str, Sequence[str]], *requested: str
) -> tuple[GenreColumns, list[list[str]]]:
    head = OTHERS | columns
    chosen = find_genre_columns(head, TABLE, requested)
    cells = chosen.cells(head)
    read = GenreReader(detect_genre_format(cells, TABLE), TABLE)
    assert not any(read(cell).error for cell in cells)
    return chosen, [list(read(cell).genres) for cell in cells]


WANTED = [sorted(film) for film in FILMS]


@pytest.mark.parametrize(
    ("yes", "no"),
    [("1", "0"), ("1.0", "0.0"), ("1", ""), ("True", "False"), ("yes", "no"), ("x", "")],
)
@pytest.mark.parametrize("name", ["{}", "genre_{}", "is {}", "Genre: {}"])
def test_columns_of_0_and_1_are_one_column_of_genres(yes: str, no: str, name: str) -> None:
    chosen, genres = found(flags([name.format(genre) for genre in NAMES], yes, no))
    assert genres == WANTED
    assert chosen.name.startswith("5 columns of ")
    assert chosen.name.endswith(f"{name.format('Action')} ... {name.format('Science Fiction')}")


def test_other_columns_of_0_and_1_are_not_taken_and_named() -> None:
    video = ["0", "1"] * (len(FILMS) // 2 + 1)
    chosen, genres = found({"adult": ["0"] * len(FILMS), **flags(), "video": video[: len(FILMS)]})
    assert genres == WANTED
    (note,) = chosen.notes
    assert "not taken for genres: adult, video; --genre-column names those to take" in note


def test_columns_of_0_and_1_whose_names_nobody_knows_are_offered_by_a_flag_that_works() -> None:
    names = ["Krimi", "Liebesfilm", "Heimatfilm", "Sage", "Posse mit Gesang"]
    with pytest.raises(InputError, match="5 columns hold 0 and 1: --genre-column Krimi") as error:
        found(flags(names))
    assert "Sage 'Posse mit Gesang' takes these" in str(error.value)
    _, genres = found(flags(names), *names)
    renamed = dict(zip(NAMES, names, strict=True))
    assert genres == [sorted(renamed[genre] for genre in film) for film in FILMS]


def test_one_of_several_columns_of_0_and_1_is_refused_by_a_flag_that_works() -> None:
    with pytest.raises(InputError, match="'Action' holds 0 and 1, such as '1'") as error:
        found(flags(), "Action")
    assert "--genre-column Action Comedy Drama Horror 'Science Fiction'" in str(error.value)
    assert found(flags(), *NAMES)[1] == WANTED
    with pytest.raises(InputError, match="'genres' holds 0 and 1"):
        found({"genres": ["0", "1"] * (len(FILMS) // 2) + ["1"] * (len(FILMS) % 2)})


@pytest.mark.parametrize(
    "name", ["genre_{}", "Genre{}", "genre {}", "Genre.{}", "genres/{}", "genres.{}.name",
             "category_{}", "tmdb_genre_{}"]
)  # fmt: skip
@pytest.mark.parametrize("first", [0, 1])
def test_numbered_columns_are_one(name: str, first: int) -> None:
    columns = {name.format(first + n): nth(n) for n in (2, 0, 1)}  # in any order
    chosen, genres = found(columns)
    assert genres == WANTED
    assert chosen.parts == tuple(name.format(first + n) for n in range(3))


@pytest.mark.parametrize(
    "names",
    [("genre", "genre.1", "genre.2"), ("Genre", "Genre2", "Genre3"),
     ("primary_genre", "secondary_genre", "third_genre"), ("genre", "subgenre", "other_genres"),
     ("Main Genre", "Second Genre", "Additional Genres")],
)  # fmt: skip
def test_a_first_and_further_genres_are_one(names: tuple[str, ...]) -> None:
    assert found({name: nth(n) for n, name in enumerate(names)})[1] == WANTED


def test_one_numbered_column_that_was_asked_for_is_taken_alone_and_the_others_are_named() -> None:
    columns = {f"genre_{n}": nth(n) for n in range(3)}
    chosen, genres = found(columns, "genre_0")
    assert genres == [film[:1] for film in FILMS]
    assert "--genre-column genre_0 genre_1 genre_2 takes all 3" in chosen.notes[0]
    assert found(columns, "genre_2", "genre_0", "genre_1")[1] == WANTED


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("expanded-genres", [", ".join(film) for film in FILMS]),
        ("listed_in", ["|".join(film) for film in FILMS]),
        ("tags", [str(film) for film in FILMS]),
        ("genre_ids", [str([IDS[genre] for genre in film]) for film in FILMS]),
        ("all_genres", ["Drama, " * (n % 9 == 0) + ", ".join(f) for n, f in enumerate(FILMS)]),
    ],
)
def test_a_fuller_column_is_preferred_and_the_other_one_named(name: str, full: list[str]) -> None:
    chosen, genres = found({"genre": nth(0), name: full})
    assert chosen.name == name
    assert "which holds those of 'genre' and more: --genre-column genre" in chosen.notes[0]
    assert all(set(wanted) <= set(genre) for wanted, genre in zip(WANTED, genres, strict=True))


def test_columns_of_0_and_1_may_be_the_fuller_ones() -> None:
    assert found({"genre": nth(0)} | flags())[1] == WANTED


def test_a_column_that_only_looks_fuller_is_named_in_a_note() -> None:
    keywords = [", ".join((*film, "dog", f"sea {n}")) for n, film in enumerate(FILMS)]
    other = [", ".join(FILMS[-1 - n]) for n, _ in enumerate(FILMS)]
    for name, cells in (("movie_genre_list", keywords), ("genres_of_another_site", other)):
        chosen, _ = found({"genre": nth(0), name: cells})
        assert chosen.name == "genre"
        assert f"'{name}' looks like genres too, such as {cells[0]!r}" in chosen.notes[0]
        assert f"--genre-column {name} takes these" in chosen.notes[0]
    with pytest.raises(InputError, match="several columns could be meant: genres, category"):
        found({"genres": [", ".join(film) for film in FILMS], "category": other})


def test_equal_columns_need_no_note_and_the_usual_name_is_taken() -> None:
    ids = [str([IDS[genre] for genre in film]) for film in FILMS]
    chosen, genres = found({"genre_ids": ids, "genre": nth(0), "genres": [str(f) for f in FILMS]})
    assert (chosen.name, chosen.notes, genres) == ("genres", (), WANTED)


def test_lists_of_0_and_1_are_read_where_their_names_are_known() -> None:
    lists = [json.dumps([int(name in film) for name in NAMES]) for film in FILMS]
    for column in ("labels", "genres"):
        for names in (str(NAMES), "|".join(NAMES)):
            assert found({column: lists, "label_names": [names] * len(FILMS)})[1] == WANTED
        with pytest.raises(InputError, match=rf"'{column}' holds lists of 0 and 1, such as '\[1, "):
            found({column: lists})
    floats = [cell.replace("1", "1.0").replace(",", "") for cell in lists]
    assert found({"labels": floats, "names": [str(NAMES)] * len(FILMS)}, "labels")[1] == WANTED


def test_a_category_that_is_no_genre_does_not_hide_the_columns_of_genres() -> None:
    category = {"category": ["Feature", "Clip"] * (len(FILMS) // 2) + ["Clip"] * (len(FILMS) % 2)}
    assert found(category | {f"genre_{n}": nth(n) for n in range(3)})[1] == WANTED
    assert found(category | flags())[1] == WANTED
    assert found(category, "category")[0].parts == ("category",)


def test_columns_of_two_kinds_are_not_joined() -> None:
    with pytest.raises(InputError, match=r"0 and 1 \(Action\) and others: 'genre' holds 'Action'"):
        found({"genre": nth(0)} | flags(), "genre", "Action")


def test_numbers_that_nobody_named_are_refused_by_a_remedy_that_works() -> None:
    cells = [str([700 + IDS[genre] for genre in film]) for film in FILMS]
    with pytest.raises(InputError, match="'genre_ids' holds numbers, such as ") as error:
        found({"genre_ids": cells})
    assert "such as 728,Drama, to a copy of data/genre_aliases.csv" in str(error.value)


def test_a_cell_that_is_neither_0_nor_1_is_an_error_of_its_row_alone() -> None:
    chosen = find_genre_columns(OTHERS | flags(), TABLE)
    assert chosen.join
    read = GenreReader(detect_genre_format(['["Drama"]']), TABLE)
    assert "Comedy is neither 0 nor 1: '7'" in read(chosen.join(("1", "7", "0", "0", "0"))).error
    assert read(chosen.join(("1", "0", "0", "0", "0"))).genres == ("Action",)
