"""All rows of all sources as a few numbers each; rare genres are dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from movie_genres.genres.labels import Labels
from movie_genres.preparation.cleaning import SHOWN_DEFECTS, CleanBatch

REPEATED = "repeats an earlier row"
RARE = "no genre with at least {} films"
Genres = tuple[str, ...]


@dataclass
class Films:
    """Rows in the order of their sources. Equal labels are stored once."""

    source: np.ndarray
    row: np.ndarray
    """1 = the first record of its source."""
    reason: np.ndarray
    """Index into `reasons`; 0 = kept so far."""
    labels: np.ndarray
    """Index into `label_sets`."""
    genres: np.ndarray
    """Index into `genre_sets`."""
    keys: np.ndarray
    """Hashes of id, title and plot, shape (n_rows, 3); 0 for empty ones."""
    imdb: np.ndarray
    """Whether the id is one of IMDb, which is the same in all sources."""
    year: np.ndarray
    """Of release; 0 = unknown."""
    given: np.ndarray
    """Index into `SPLITS` of the split that the data gives a row; -1 = none."""
    bands: np.ndarray
    words: np.ndarray
    reasons: list[str]
    label_sets: list[Labels]
    genre_sets: list[Genres]
    shards: list[Path]
    shard_starts: np.ndarray
    """First row of each shard."""
    rules: Counter[str]
    defects: list[tuple[int, str]]
    """Source and words of rows that could not be read; the first few."""
    also_in: dict[int, set[int]] = field(default_factory=dict)
    """Further sources of a row's film, from rows with the same plot."""
    repeats: dict[int, int] = field(default_factory=dict)
    """Row that was rejected as a repeat -> the earlier row that it repeats."""
    disputed: set[int] = field(default_factory=set)
    """Rows that were repeated with other genres."""

    def __len__(self) -> int:
        return len(self.row)

    @property
    def usable(self) -> np.ndarray:
        """Numbers of the rows that are kept so far."""
        return np.flatnonzero(self.reason == 0)

    def reject(self, rows: np.ndarray, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.reason[rows] = self.reasons.index(reason)

    def rejected(self) -> Counter[str]:
        """Rows by reason."""
        counts = np.bincount(self.reason, minlength=len(self.reasons)).tolist()
        return Counter({r: n for r, n in zip(self.reasons, counts, strict=True) if r and n})

    def genre_counts(self, rows: np.ndarray) -> Counter[str]:
        """How many of these rows have each genre."""
        counts: Counter[str] = Counter()
        used, first, numbers = np.unique(self.genres[rows], return_index=True, return_counts=True)
        for index in np.argsort(first):  # in order of appearance, which decides ties in tables
            for genre in self.genre_sets[used[index]]:
                counts[genre] += int(numbers[index])
        return counts

    def label_counts(self, kind: str) -> dict[str, int]:
        """How many rows have each dropped or unlisted raw label."""
        numbers = np.bincount(self.labels, minlength=len(self.label_sets))
        counts: Counter[str] = Counter()
        for labels, number in zip(self.label_sets, numbers.tolist(), strict=True):
            for label in getattr(labels, kind):
                counts[label] += number
        return dict(counts.most_common())

    def set_genres(self, rows: np.ndarray, genres: Sequence[Genres]) -> None:
        index = {genres: number for number, genres in enumerate(self.genre_sets)}
        for row, found in zip(rows.tolist(), genres, strict=True):
            self.genres[row] = index.setdefault(found, len(index))
        self.genre_sets = list(index)

    def genres_of(self, row: int) -> Genres:
        return self.genre_sets[self.genres[row]]

    def multi_hot(self, rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Labels of rows, uint8, shape (n_rows, n_names)."""
        return self.multi_hot_sets(names)[self.genres[rows]]

    def multi_hot_sets(self, names: Sequence[str]) -> np.ndarray:
        """Labels of `genre_sets`, uint8, shape (n_sets, n_names)."""
        column = {name: number for number, name in enumerate(names)}
        table = np.zeros((len(self.genre_sets), len(names)), dtype=np.uint8)
        for number, genres in enumerate(self.genre_sets):
            table[number, [column[genre] for genre in genres if genre in column]] = 1
        return table

    def used_by_source(self, n_sources: int, names: Sequence[str]) -> np.ndarray:
        """Whether a source gives a genre to any of its films, bool, (n_sources, n_names).

        By the source's own labels: a film found in two sources counts for what each says of it,
        also where its row was rejected for repeating another one.
        """
        used = np.zeros((n_sources, len(names)), dtype=bool)
        counted = [0, *(i for i, reason in enumerate(self.reasons) if reason == REPEATED)]
        kept = np.flatnonzero(np.isin(self.reason, counted))
        for source in range(n_sources):
            sets = np.unique(self.labels[kept[self.source[kept] == source]])
            genres = {genre for index in sets for genre in self.label_sets[index].genres}
            used[source] = [name in genres for name in names]
        return used

    def known(self, used: np.ndarray) -> np.ndarray:
        """Whether a row's genres are known to be absent where they are not given.

        Args:
            used: As `used_by_source` gives it, for each source and genre. A film of several
                sources is known by the genres of all of them.

        Returns:
            bool, shape (n_rows, n_names).
        """
        known = used[self.source]
        for row, sources in self.also_in.items():
            known[row] |= used[list(sources)].any(axis=0)
        return known

    def cells(self, rows: np.ndarray, column: str) -> Iterable[str]:
        """Cells of the shards for ascending row numbers."""
        which = np.searchsorted(self.shard_starts, rows, side="right") - 1
        for number in np.unique(which):
            table = read_shard(self.shards[number])
            inside = rows[which == number] - self.shard_starts[number]
            yield from table[column].take(pa.array(inside)).to_pylist()


def read_shard(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def collect(cleaned: Iterable[CleanBatch]) -> Films:
    """Join the numbers of all batches."""
    reasons: dict[str, int] = {"": 0}
    label_sets: dict[Labels, int] = {}
    genre_sets: dict[Genres, int] = {}
    parts: dict[str, list[np.ndarray]] = {}
    shards, starts, total = [], [], 0
    rules: Counter[str] = Counter()
    defects: list[tuple[int, str]] = []
    for batch in cleaned:
        n_rows = len(batch.reason)
        label_codes = np.array([label_sets.setdefault(x, len(label_sets)) for x in batch.labels])
        genre_codes = np.array(
            [genre_sets.setdefault(x.genres, len(genre_sets)) for x in batch.labels]
        )
        arrays: dict[str, np.ndarray] = {
            "source": np.full(n_rows, batch.source, dtype=np.int16),
            "row": np.arange(batch.first_row, batch.first_row + n_rows, dtype=np.int32),
            "reason": np.array([reasons.setdefault(r, len(reasons)) for r in batch.reason], "i2"),
            "labels": label_codes[batch.label_codes].astype(np.int32),
            "genres": genre_codes[batch.label_codes].astype(np.int32),
            "keys": batch.links.keys,
            "imdb": batch.links.imdb,
            "year": batch.links.year,
            "given": batch.links.given,
            "bands": batch.links.bands,
            "words": batch.words.astype(np.int32),
        }
        for name, values in arrays.items():
            parts.setdefault(name, []).append(values)
        shards.append(batch.shard)
        starts.append(total)
        rules.update(batch.rules)
        if len(defects) < SHOWN_DEFECTS:
            defects += [(batch.source, words) for words in batch.defects]
        total += n_rows
    joined: dict[str, Any] = {name: np.concatenate(parts.pop(name)) for name in list(parts)}
    return Films(
        **joined,
        reasons=list(reasons),
        label_sets=list(label_sets),
        genre_sets=list(genre_sets),
        shards=shards,
        shard_starts=np.array(starts),
        rules=rules,
        defects=defects[:SHOWN_DEFECTS],
    )


def reject_rare_genres(films: Films, min_count: int) -> dict[str, int]:
    """Drop genres with fewer than `min_count` films, then the films that have no other genre."""
    usable = films.usable
    counts = films.genre_counts(usable)
    rare = {genre: n for genre, n in sorted(counts.items()) if n < min_count}
    left = [tuple(g for g in genres if g not in rare) for genres in films.genre_sets]
    emptied = np.array([not genres for genres in left])[films.genres[usable]]
    index = {genres: number for number, genres in enumerate(dict.fromkeys(left))}
    films.genres = np.array([index[genres] for genres in left], dtype=np.int32)[films.genres]
    films.genre_sets = list(index)
    films.reject(usable[emptied], RARE.format(min_count))
    return rare
