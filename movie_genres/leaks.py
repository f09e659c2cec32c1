"""How often a text tells its genre by name: per field, on the first films of the sources."""

from __future__ import annotations

from collections.abc import Sequence

from movie_genres.fields import PLOT, TITLE, named_genres
from movie_genres.genres import GenreAliases, GenreReader
from movie_genres.sources import Source

SAMPLE = 2000
"""Films looked at, evenly over the first rows of all sources."""


def leak_shares(
    sources: Sequence[Source], names: Sequence[str], aliases: GenreAliases
) -> dict[str, float]:
    """Share of the films whose field names one of their own genres, by field, in [0, 1].

    Films without a genre or with a blank field do not count. Texts are taken as they are read.
    """
    known = aliases.genres()
    named = dict.fromkeys(names, 0)
    filled = dict.fromkeys(names, 0)
    for source in sources:
        reader = GenreReader(source.genre_format, aliases)
        columns = {TITLE: source.columns["title"], PLOT: source.columns["plot"]} | source.extra
        step = max(1, len(source.head) * len(sources) // SAMPLE)
        for row in source.head[::step]:
            own = {
                genre.casefold() for genre in reader(row[source.columns["raw_genres"] or ""]).genres
            }
            for name in names if own else ():
                column = columns.get(name)
                cell = row.get(column, "") if column else ""
                filled[name] += bool(cell.strip())
                named[name] += bool(own & named_genres(cell, known))
    return {name: named[name] / filled[name] if filled[name] else 0.0 for name in names}
