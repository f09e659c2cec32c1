"""Records as read -> films as used: one batch after the other, on any number of processes.

Each batch becomes a shard (an Arrow file with the texts) and a few numbers a row, so that memory
does not grow with the texts. Results do not depend on the number of processes.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.labels import GenreReader, Labels
from movie_genres.preparation.duplicates import key_hash, plot_bands, title_and_year, words
from movie_genres.preparation.layout import Layout
from movie_genres.preparation.workers import start_workers
from movie_genres.reading.columns import PLOT, TITLE
from movie_genres.reading.identity import id_key, year_of
from movie_genres.reading.records import Malformed, Record
from movie_genres.reading.sources import Source
from movie_genres.texts.fields import TextFields, flatten
from movie_genres.texts.text import as_text, clean_texts, count_words, plot_defect

BATCH_ROWS = 1000
SHOWN_DEFECTS = 3
_SHOWN_CHARACTERS = 80
_NO_GENRES, _NO_PLOT_GENRE = "no genres", "no plot genre among its labels"
SHARD = pa.schema([(name, pa.string()) for name in ("id", "title", "plot", "text", "detail")])
_UNREAD = Labels((), (), (), ())


@dataclass(frozen=True)
class Recipe:
    """How batches are cleaned; the same for all of them."""

    layouts: list[Layout]
    aliases: GenreAliases
    fields: TextFields
    min_words: int
    folder: Path
    """Of the shards."""


@dataclass(frozen=True)
class Batch:
    """Some records of one source."""

    number: int
    source: int
    first_row: int
    records: list[Record]


@dataclass
class Links:
    """What says of which film a row is, and in which split; one entry a row in each array."""

    keys: np.ndarray
    """Hashes of id, title and plot, 0 for empty ones; uint64, shape (n_rows, 3)."""
    imdb: np.ndarray
    """Whether the id is one of IMDb, which is the same in all sources."""
    year: np.ndarray
    """Of release; 0 = unknown."""
    given: np.ndarray
    """Index into `SPLITS` of the split that the data gives a row; -1 = none."""
    bands: np.ndarray
    """As `plot_bands` gives them."""
    words: np.ndarray
    """Of the plot."""


@dataclass(frozen=True)
class CleanBatch:
    """What memory keeps of a batch, whose texts are in its shard; one entry a row in each array."""

    source: int
    first_row: int
    shard: Path
    reason: list[str]
    """Why the row cannot be used; empty if it can, so far."""
    labels: list[Labels]
    """The different ones."""
    label_codes: np.ndarray
    """Index into `labels` of each row."""
    links: Links
    rules: Counter[str]
    """Texts that each cleaning rule changed."""
    defects: list[str]
    """Rows that could not be read at all, in words; the first few."""


class Cleaner:
    """Cleans batches by a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.readers = [
            GenreReader(layout.genre_format, recipe.aliases.with_seen(layout.genre_names))
            for layout in recipe.layouts
        ]
        self.extra = [name for name in recipe.fields.names if name not in (TITLE, PLOT)]

    def __call__(self, batch: Batch) -> CleanBatch:
        rules: Counter[str] = Counter()
        films = self._films(batch, rules)
        shard = self.recipe.folder / f"{batch.number:06d}.arrow"
        _write_shard(shard, films)
        unread = [
            f"row {row}: {reason} ({detail})"
            for row, (labels, reason, detail) in enumerate(
                zip(films.labels, films.reason, films.detail, strict=True), batch.first_row
            )
            if labels is _UNREAD or labels.error
        ]
        # Equal cells give one object (GenreReader), so the objects need not be compared.
        distinct = {id(labels): labels for labels in films.labels}
        position = {key: index for index, key in enumerate(distinct)}
        return CleanBatch(
            batch.source,
            batch.first_row,
            shard,
            films.reason,
            list(distinct.values()),
            np.array([position[id(labels)] for labels in films.labels], dtype=np.int32),
            self._links(films, self.recipe.layouts[batch.source]),
            rules,
            unread[:SHOWN_DEFECTS],
        )  # fmt: skip

    def _links(self, films: _Films, layout: Layout) -> Links:
        """Of all rows whose plot is usable, even if they have no genres."""
        readable = [reason in ("", _NO_GENRES, _NO_PLOT_GENRE) for reason in films.reason]
        plots = [words(plot) for plot in _kept(films.plot, readable)]
        titles = [title_and_year(title) for title in _kept(films.title, readable)]
        readable_ids = _kept(films.id, [layout.has_id and fine for fine in readable])
        ids = [id_key(identifier, imdb=layout.imdb) for identifier in readable_ids]
        keys = [
            _key_hashes(identifier.encode(errors="replace") for identifier in ids),
            _key_hashes(title for title, _ in titles),
            _key_hashes(map(b" ".join, plots)),
        ]
        years = [
            year or year_of_title
            for year, (_, year_of_title) in zip(films.year, titles, strict=True)
        ]
        imdb = np.array([identifier.startswith("tt") for identifier in ids], dtype=bool)
        return Links(
            np.column_stack(keys),
            imdb,
            np.array(years, dtype=np.int16),
            np.array(films.given, dtype=np.int8),
            plot_bands(plots),
            np.array([count_words(plot) for plot in films.plot], dtype=np.int32),
        )

    def _films(self, batch: Batch, rules: Counter[str]) -> _Films:
        layout = self.recipe.layouts[batch.source]
        films = _Films.empty(len(batch.records))
        whole: list[tuple[int, tuple[str, ...]]] = []
        for row, record in enumerate(batch.records):
            if isinstance(record, Malformed):
                films.reason[row], films.detail[row] = record.reason, record.detail
                continue
            films.id[row] = record[0].strip() if layout.has_id else str(batch.first_row + row)
            films.year[row] = 0 if layout.year is None else year_of(record[layout.year])
            whole.append((row, record))
        titles = clean_texts([as_text(record[1]) for _, record in whole], rules)
        plots = clean_texts([as_text(record[2]) for _, record in whole], rules)
        read = self.readers[batch.source]
        for (row, record), title, plot in zip(whole, titles, plots, strict=True):
            labels = read(record[3])
            films.title[row], films.plot[row], films.labels[row] = title, plot, labels
            reason = films.reason[row] = self._defect(plot, labels, layout)
            films.given[row] = layout.split_of(record, batch.first_row + row, usable=not reason)
            if labels.error or reason in (_NO_GENRES, _NO_PLOT_GENRE):
                films.detail[row] = labels.error or ", ".join(labels.raw)
            elif reason:
                films.detail[row] = (plot or record[2].strip())[:_SHOWN_CHARACTERS]
            else:
                films.text[row] = self._text(title, plot, record)
        return films

    def _text(self, title: str, plot: str, record: tuple[str, ...]) -> str:
        values = {name: flatten(record[4 + i]) for i, name in enumerate(self.extra)}
        return self.recipe.fields.compose(values | {TITLE: title, PLOT: plot})

    def _defect(self, plot: str, labels: Labels, layout: Layout) -> str:
        if labels.error:
            return f"genres not readable as {layout.genre_format}"
        reason = plot_defect(plot, self.recipe.min_words) or ""
        if not reason and not labels.raw:
            return _NO_GENRES
        if not reason and not labels.genres:
            return _NO_PLOT_GENRE
        return reason


@dataclass(frozen=True)
class _Films:
    """Columns of a batch, one entry a row."""

    id: list[str]
    title: list[str]
    plot: list[str]
    text: list[str]
    detail: list[str]
    reason: list[str]
    labels: list[Labels]
    year: list[int]
    given: list[int]

    @classmethod
    def empty(cls, n_rows: int) -> _Films:
        cells = {name: [""] * n_rows for name in (*SHARD.names, "reason")}
        return cls(**cells, labels=[_UNREAD] * n_rows, year=[0] * n_rows, given=[-1] * n_rows)


def _key_hashes(keys: Iterable[bytes]) -> np.ndarray:
    return np.fromiter(map(key_hash, keys), dtype=np.uint64)


def _kept(cells: list[str], good: list[bool]) -> Iterator[str]:
    """The cells of good rows, empty for the others."""
    return (cell if fine else "" for cell, fine in zip(cells, good, strict=True))


def _write_shard(path: Path, films: _Films) -> None:
    table = pa.table([_strings(getattr(films, name)) for name in SHARD.names], SHARD)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SHARD) as writer:
        writer.write_table(table)


def _strings(cells: list[str]) -> pa.Array:
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError:
        return pa.array(map(_valid, cells), pa.string())


def _valid(text: str) -> str:
    """Without halves of characters, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-8", errors="replace").decode()


def batches(sources: Iterable[Iterator[Record]]) -> Iterator[Batch]:
    """Records of each source in batches; a batch never holds two sources."""
    number = itertools.count()
    for source, records in enumerate(sources):
        first_row = 1
        while part := list(itertools.islice(records, BATCH_ROWS)):
            yield Batch(next(number), source, first_row, part)
            first_row += len(part)


_cleaner: Cleaner | None = None  # of a worker process, set once by `load_recipe`


def load_recipe(recipe: Recipe) -> None:
    """Prepare this process for `clean_batches`."""
    global _cleaner
    _cleaner = Cleaner(recipe)


def _clean(batch: Batch) -> CleanBatch:
    assert _cleaner is not None
    return _cleaner(batch)


def clean_batches(todo: Iterable[Batch], workers: Executor, ahead: int) -> Iterator[CleanBatch]:
    """Clean batches on processes that have called `load_recipe`, in their order.

    Args:
        todo: The batches.
        workers: The processes.
        ahead: How many batches are in memory at most.
    """
    waiting: deque[Future[CleanBatch]] = deque()
    try:
        for batch in todo:
            waiting.append(workers.submit(_clean, batch))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def start_cleaning(
    sources: Sequence[Source], recipe: Recipe, *, num_proc: int, strict: bool
) -> Iterator[tuple[Iterator[CleanBatch], Executor]]:
    """Clean the records of all sources on `num_proc` processes; on this one if they are few.

    Yields:
        The cleaned batches in their order; and the processes, which take further work.

    Raises:
        InputError: If `strict`, at the first record that cannot be read.
    """
    todo = batches(source.records() for source in sources)
    first = list(itertools.islice(todo, 2))
    if len(first) < 2:
        num_proc = 1
    with start_workers(num_proc, load_recipe, recipe) as workers:
        cleaned = clean_batches(itertools.chain(first, todo), workers, 2 * num_proc)
        yield _without_defects(cleaned, sources) if strict else cleaned, workers


def _without_defects(
    cleaned: Iterable[CleanBatch], sources: Sequence[Source]
) -> Iterator[CleanBatch]:
    for batch in cleaned:
        if batch.defects:
            raise InputError(f"--strict: {sources[batch.source].name}, {batch.defects[0]}")
        yield batch
