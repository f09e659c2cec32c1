"""How often a text tells its genre by name: per field, on the first films of the sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from movie_genres.preparation.fields import named_genres
from movie_genres.reading.columns import PLOT, TITLE
from movie_genres.reading.genres import GenreAliases, GenreReader
from movie_genres.reading.sources import Source

SAMPLE = 2000
"""Films looked at, evenly over the first rows of all sources."""


def names_of_genres(
    sources: Sequence[Source], aliases: GenreAliases, min_count: int
) -> tuple[str, ...]:
    """Names that tell a genre: those of the table, and labels that it does not list.

    Args:
        sources: Where labels are looked for, in the first rows.
        aliases: The table.
        min_count: Rarer labels do not become genres.
    """
    unlisted: Counter[str] = Counter()
    for source in sources:
        reader = GenreReader(source.genre_format, aliases)
        for cell in source.head[source.columns["raw_genres"] or ""]:
            unlisted.update(reader(cell).unlisted)
    common = {label for label, count in unlisted.items() if count >= min_count}
    return tuple(sorted({*aliases.genres(), *common}))


def leak_shares(
    sources: Sequence[Source],
    names: Sequence[str],
    aliases: GenreAliases,
    known: tuple[str, ...],
) -> dict[str, float]:
    """Share of the films whose field names one of their own genres, by field, in [0, 1].

    Films without a genre or with a blank field do not count. Texts are taken as they are read.

    Args:
        sources: Where the films are.
        names: Of the fields.
        aliases: The table of genres.
        known: As `names_of_genres` gives them.
    """
    named = dict.fromkeys(names, 0)
    filled = dict.fromkeys(names, 0)
    for source in sources:
        reader = GenreReader(source.genre_format, aliases)
        cells = source.head[source.columns["raw_genres"] or ""]
        step = max(1, len(cells) * len(sources) // SAMPLE)
        genres = [{genre.casefold() for genre in reader(cell).genres} for cell in cells[::step]]
        columns = {TITLE: source.columns["title"], PLOT: source.columns["plot"]} | source.extra
        for name in names:
            column = columns.get(name)
            texts = source.head[column][::step] if column else ()
            for text, own in zip(texts, genres, strict=False):
                filled[name] += bool(own and text.strip())
                named[name] += bool(own and own & named_genres(text, known))
    return {name: named[name] / filled[name] if filled[name] else 0.0 for name in names}
