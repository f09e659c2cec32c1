"""Which fields make up the text, and how often each of them names the film's genres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases, label_key
from movie_genres.genres.formats import detect_genre_format
from movie_genres.genres.labels import GenreReader
from movie_genres.reading.columns import PLOT, TITLE, normal_name
from movie_genres.reading.sources import Source
from movie_genres.texts.fields import TextFields, named_genres

_COPY = 0.9
"""Share of a field's cells that are genres of their film, from which the field is no text."""
SAMPLE = 2000
"""Films that are searched, evenly spread over the first rows of all sources."""


def choose_fields(
    sources: list[Source],
    names: Sequence[str] | None,
    aliases: GenreAliases,
    *,
    min_count: int,
    most_leaks: float | None,
    masked: bool,
) -> tuple[list[Source], TextFields, dict[str, float]]:
    """Choose the composition of the text.

    Args:
        sources: Where the fields are.
        names: Columns in their order; None: title and plot.
        aliases: The table of genres.
        min_count: Rarer labels do not become genres.
        most_leaks: A field other than title and plot is left out if it names one of the film's own
            genres in a larger share of the films; None: no field is.
        masked: Whether names of genres are masked in the text.

    Returns:
        The sources with the columns of the fields, the composition, and `leak_shares` of all
        fields in `names`.

    Raises:
        InputError: If no source has such a field, none of them is the plot, or one is the genres.
    """
    fields: tuple[str, ...] = (TITLE, PLOT)
    if names:
        fields, sources = with_text_fields(sources, names)
        _refuse_genres(sources, aliases)
    genre_names = names_of_genres(sources, aliases, min_count)
    leaks = leak_shares(sources, fields, aliases, genre_names)
    if names and most_leaks is not None:
        kept = [f for f in fields if f in (TITLE, PLOT) or leaks[f] <= most_leaks]
        fields, sources = with_text_fields(sources, kept)
    return sources, TextFields(fields, genre_names if masked else ()), leaks


def with_text_fields(
    sources: Sequence[Source], requested: Sequence[str]
) -> tuple[tuple[str, ...], list[Source]]:
    """Find the columns of `--text-fields`.

    Returns:
        The names of the fields (`title` and `plot` for the columns that are those in any source),
        and the sources with the columns of these fields.

    Raises:
        InputError: If no source has such a column, or none of them is the plot.
    """
    names = []
    for entry in requested:
        is_role = {
            role: any(_is_called(entry, role, source.columns[role]) for source in sources)
            for role in (TITLE, PLOT)
        }
        role = next((role for role, found in is_role.items() if found), None)
        names.append(role or normal_name(entry))
    if PLOT not in names:
        plots = ", ".join(dict.fromkeys(str(source.columns["plot"]) for source in sources))
        raise InputError(f"--text-fields must name the column of the plots too: {plots}")
    extra = [name for name in dict.fromkeys(names) if name not in (TITLE, PLOT)]
    with_fields = []
    for source in sources:
        by_name = {normal_name(column): column for column in reversed(source.table.columns)}
        with_fields.append(replace(source, extra={name: by_name.get(name) for name in extra}))
    for name in extra:
        if all(source.extra[name] is None for source in with_fields):
            found = ", ".join(c for source in sources for c in source.table.columns if c)
            raise InputError(f"--text-fields {name!r} is not a column; found: {found}")
    return tuple(dict.fromkeys(names)), with_fields


def _is_called(entry: str, role: str, column: str | None) -> bool:
    """Whether a name in `--text-fields` is that of the title or the plot, or of its column."""
    return entry == role or (column is not None and normal_name(entry) == normal_name(column))


def _refuse_genres(sources: Sequence[Source], aliases: GenreAliases) -> None:
    """Raises: InputError: If a field is the column of genres or a copy of it, which is no text."""
    for source in sources:
        genres = source.columns["raw_genres"] or ""
        for column in filter(None, source.extra.values()):
            if column == genres or _only_own_genres(source, column, aliases) >= _COPY:
                what = "the genres" if column == genres else f"a copy of the genres ({genres!r})"
                raise InputError(
                    f"--text-fields: the column {column!r} is {what} that the model is to predict; "
                    "leave it out"
                )


def _only_own_genres(source: Source, column: str, aliases: GenreAliases) -> float:
    """Share of a column's filled cells that are nothing but genres of their film, in [0, 1]."""
    step = max(1, len(source.head[column]) // SAMPLE)
    cells = source.head[column][::step]
    genres = source.head[source.columns["raw_genres"] or ""][::step]
    read = GenreReader(detect_genre_format(cells), aliases)
    read_own = GenreReader(source.genre_format, aliases)
    filled = copied = 0
    for cell, own in zip(cells, genres, strict=True):
        found = set(read(cell).genres) if cell.strip() else set()
        filled += bool(cell.strip())
        copied += bool(found) and found <= set(read_own(own).genres)
    return copied / filled if filled else 0.0


def names_of_genres(
    sources: Sequence[Source], aliases: GenreAliases, min_count: int
) -> tuple[str, ...]:
    """Names of genres: those of the table, and labels that it does not list.

    Args:
        sources: Where labels are looked for, in the first rows.
        aliases: The table.
        min_count: Rarer labels do not become genres.
    """
    unlisted: Counter[str] = Counter()
    spelling: dict[str, str] = {}
    for source in sources:
        reader = GenreReader(source.genre_format, aliases.with_seen(source.genre_names))
        for cell in source.head[source.columns["raw_genres"] or ""]:
            labels = reader(cell).unlisted
            unlisted.update(spelling.setdefault(label_key(name), name) for name in labels)
    common = {label for label, count in unlisted.items() if count >= min_count}
    return tuple(sorted({*aliases.genres(), *common}))


def leak_shares(
    sources: Sequence[Source],
    names: Sequence[str],
    aliases: GenreAliases,
    genre_names: tuple[str, ...],
) -> dict[str, float]:
    """Share of the films whose field names one of their own genres, by field, in [0, 1].

    Films without a genre or with an empty field do not count. Texts are not cleaned.

    Args:
        sources: Where the films are.
        names: The fields.
        aliases: The table of genres.
        genre_names: As `names_of_genres` gives them.
    """
    named = dict.fromkeys(names, 0)
    filled = dict.fromkeys(names, 0)
    for source in sources:
        reader = GenreReader(source.genre_format, aliases.with_seen(source.genre_names))
        cells = source.head[source.columns["raw_genres"] or ""]
        step = max(1, len(cells) * len(sources) // SAMPLE)
        genres = [{genre.casefold() for genre in reader(cell).genres} for cell in cells[::step]]
        columns = {TITLE: source.columns["title"], PLOT: source.columns["plot"]} | source.extra
        for name in names:
            column = columns.get(name)
            texts = source.head[column][::step] if column else ()
            for text, own in zip(texts, genres, strict=False):
                filled[name] += bool(own and text.strip())
                named[name] += bool(own and own & named_genres(text, genre_names))
    return {name: named[name] / filled[name] if filled[name] else 0.0 for name in names}
