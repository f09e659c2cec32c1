"""Records as read -> films as used: one batch after the other, on any number of processes.

Each batch becomes a shard (an Arrow file with the texts) and a few numbers a row, so that memory
does not grow with the texts. Results do not depend on the number of processes.
"""

from __future__ import annotations

import itertools
import multiprocessing
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from movie_genres.columns import TypeCheck
from movie_genres.duplicates import id_key, key_hash, plot_bands, text_key, words
from movie_genres.fields import DEFAULT_FIELDS, PLOT, TITLE, TextFields, flatten
from movie_genres.genres import GenreAliases, GenreFormat, GenreReader, Labels
from movie_genres.records import Malformed, Record
from movie_genres.text import clean_and_tell, plot_defect

BATCH_ROWS = 1000
SHOWN_DEFECTS = 3
SHARD = pa.schema([(name, pa.string()) for name in ("id", "title", "plot", "text", "detail")])
_UNREAD = Labels((), (), (), ())


@dataclass(frozen=True)
class Layout:
    """How the records of one source are to be read: cells id, title, plot, genres, the other
    fields of the text, and those of the type check, in this order."""

    genre_format: GenreFormat
    has_id: bool
    check: TypeCheck


@dataclass(frozen=True)
class Recipe:
    """Everything a process needs to know; the same for all batches."""

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


@dataclass(frozen=True)
class CleanBatch:
    """What is remembered of a batch besides its shard; one entry a row in every array."""

    source: int
    first_row: int
    shard: Path
    reason: list[str]
    """Why the row cannot be used; blank if it can, so far."""
    labels: list[Labels]
    """The different ones."""
    label_codes: np.ndarray
    """Index into `labels` of each row."""
    keys: np.ndarray
    """Hashes of id, title and plot, 0 for blank ones; uint64, shape (n_rows, 3)."""
    bands: np.ndarray
    words: np.ndarray
    """Of the plot."""
    rules: Counter[str]
    """Texts that each cleaning rule changed."""
    defects: list[str]
    """Rows that could not be read at all, in words; the first few."""


class Cleaner:
    """Cleans batches by a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.readers = [
            GenreReader(layout.genre_format, recipe.aliases) for layout in recipe.layouts
        ]
        self.extra = [name for name in recipe.fields.names if name not in (TITLE, PLOT)]

    def __call__(self, batch: Batch) -> CleanBatch:
        rules: Counter[str] = Counter()
        films = [
            self._film(record, batch.source, number, rules)
            for number, record in enumerate(batch.records, batch.first_row)
        ]
        shard = self.recipe.folder / f"{batch.number:06d}.arrow"
        self._write_shard(shard, films)
        plots = [words(film.plot) if not film.reason else [] for film in films]
        keys = np.zeros((len(films), 3), dtype=np.uint64)
        for row, (film, plot) in enumerate(zip(films, plots, strict=True)):
            if not film.reason:
                keys[row] = (
                    key_hash(id_key(film.id).encode(errors="replace")) if film.has_id else 0,
                    key_hash(text_key(film.title).encode()),
                    key_hash(b" ".join(plot)),
                )
        unread = [
            f"row {number}: {film.reason} ({film.detail})"
            for number, film in enumerate(films, batch.first_row)
            if film.labels is _UNREAD
        ]
        # Equal cells give one object (GenreReader), so the objects need not be compared.
        distinct = {id(film.labels): film.labels for film in films}
        position = {key: index for index, key in enumerate(distinct)}
        return CleanBatch(
            batch.source,
            batch.first_row,
            shard,
            [film.reason for film in films],
            list(distinct.values()),
            np.array([position[id(film.labels)] for film in films], dtype=np.int32),
            keys,
            plot_bands(plots),
            np.array([film.plot.count(" ") + 1 if film.plot else 0 for film in films]),
            rules,
            unread[:SHOWN_DEFECTS],
        )

    def _film(self, record: Record, source: int, row: int, rules: Counter[str]) -> _Film:
        if isinstance(record, Malformed):
            return _Film("", "", "", "", record.reason, record.detail, _UNREAD, False)
        layout = self.recipe.layouts[source]
        identifier, raw_title, raw_plot, cell = record[:4]
        identifier = identifier.strip() if layout.has_id else str(row)
        misfit = layout.check.misfit(record[4 + len(self.extra) :])
        if misfit:
            reason = "cells that do not fit their columns"
            return _Film(identifier, "", "", "", reason, misfit, _UNREAD, False)
        title, title_rules = clean_and_tell(raw_title)
        plot, plot_rules = clean_and_tell(raw_plot)
        if title_rules or plot_rules:
            rules.update(title_rules)
            rules.update(plot_rules)
        labels = self.readers[source](cell)
        reason = self._defect(plot, labels, layout)
        detail = labels.error or ("" if labels.genres else ", ".join(labels.raw))
        text = "" if reason else self._text(title, plot, record)
        return _Film(identifier, title, plot, text, reason, detail, labels, layout.has_id)

    def _text(self, title: str, plot: str, record: Record) -> str:
        if self.recipe.fields == DEFAULT_FIELDS:
            return f"{title}. {plot}" if title else plot
        assert not isinstance(record, Malformed)
        values = {name: flatten(record[4 + i]) for i, name in enumerate(self.extra)}
        return self.recipe.fields.compose(values | {TITLE: title, PLOT: plot})

    def _defect(self, plot: str, labels: Labels, layout: Layout) -> str:
        if labels.error:
            return f"genres not readable as {layout.genre_format}"
        reason = plot_defect(plot, self.recipe.min_words) or ""
        if not reason and not labels.raw:
            return "no genres"
        if not reason and not labels.genres:
            return "no plot genre among its labels"
        return reason

    def _write_shard(self, path: Path, films: list[_Film]) -> None:
        cells = zip(*((f.id, f.title, f.plot, f.text, f.detail) for f in films), strict=True)
        table = pa.table([pa.array(map(_valid, column), pa.string()) for column in cells], SHARD)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SHARD) as writer:
            writer.write_table(table)


@dataclass(frozen=True, slots=True)
class _Film:
    id: str
    title: str
    plot: str
    text: str
    reason: str
    detail: str
    labels: Labels
    has_id: bool


def _valid(text: str) -> str:
    """Without halves of characters, which JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode()


def batches(sources: Iterable[Iterator[Record]]) -> Iterator[Batch]:
    """Records of each source in batches; a batch never holds two sources."""
    number = itertools.count()
    for source, records in enumerate(sources):
        first_row = 1
        while part := list(itertools.islice(records, BATCH_ROWS)):
            yield Batch(next(number), source, first_row, part)
            first_row += len(part)


_cleaner: Cleaner | None = None  # of a worker process, set once by `_start_worker`


def _start_worker(recipe: Recipe) -> None:
    global _cleaner
    _cleaner = Cleaner(recipe)


def _clean(batch: Batch) -> CleanBatch:
    assert _cleaner is not None
    return _cleaner(batch)


def clean_batches(todo: Iterator[Batch], recipe: Recipe, num_proc: int) -> Iterator[CleanBatch]:
    """Clean batches on `num_proc` processes, in their order, with only a few in memory."""
    first = list(itertools.islice(todo, 2))
    if num_proc == 1 or len(first) < 2:
        yield from map(Cleaner(recipe), itertools.chain(first, todo))
        return
    # Forked where that is safe: a spawned process would import the whole command again.
    method = "fork" if sys.platform == "linux" else None
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(num_proc, context, _start_worker, (recipe,)) as pool:
        waiting: deque[Future[CleanBatch]] = deque()
        try:
            for batch in itertools.chain(first, todo):
                waiting.append(pool.submit(_clean, batch))
                if len(waiting) > 2 * num_proc:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
