"""Labels that the alias table does not list and that differ in case or whitespace alone are one."""

from __future__ import annotations

from movie_genres.genres.aliases import label_key
from movie_genres.preparation.films import Films


def unite_spellings(films: Films) -> Films:
    """Give such labels the spelling that most rows have; the first one of equals.

    Args:
        films: All rows; changed in place, and returned.
    """
    commonest: dict[str, str] = {}
    counts = films.label_counts("unlisted")  # the commonest first
    spelling = {label: commonest.setdefault(label_key(label), label) for label in counts}
    if all(label == name for label, name in spelling.items()):
        return films

    def united(labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(spelling.get(label, label) for label in labels))

    films.label_sets = [
        labels._replace(
            genres=tuple(sorted(united(labels.genres))), unlisted=united(labels.unlisted)
        )
        for labels in films.label_sets
    ]
    films.map_genres(lambda genres: tuple(sorted(united(genres))))
    return films
