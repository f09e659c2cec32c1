"""All rows of all sources as a few numbers each; rare genres are dropped."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from movie_genres.genres.labels import Labels
from movie_genres.preparation.cleaning import SHOWN_DEFECTS, CleanBatch, Links

REPEATED = "repeats an earlier row"
RARE = "no genre with at least {} films"
Genres = tuple[str, ...]


class _Numbers(dict[Any, int]):
    """Numbers things from 0 as they are first asked for."""

    def __missing__(self, thing: Any) -> int:
        number = self[thing] = len(self)
        return number


@dataclass
class Films(Links):
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

    def set_genres(self, genres: Mapping[int, Genres]) -> None:
        """Give rows, by number, other genres."""
        numbers = _Numbers(zip(self.genre_sets, itertools.count()))
        self.genres[list(genres)] = [numbers[found] for found in genres.values()]
        self.genre_sets = list(numbers)

    def map_genres(self, changed: Callable[[Genres], Genres]) -> None:
        """Replace each of `genre_sets`; those that become equal become one."""
        numbers = _Numbers()
        codes = [numbers[changed(genres)] for genres in self.genre_sets]
        self.genres = np.array(codes, dtype=np.int32)[self.genres]
        self.genre_sets = list(numbers)

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
    reasons, label_sets, genre_sets = _Numbers({"": 0}), _Numbers(), _Numbers()
    parts: dict[str, list[np.ndarray]] = defaultdict(list)
    shards: list[Path] = []
    rules: Counter[str] = Counter()
    defects: list[tuple[int, str]] = []
    for batch in cleaned:
        n_rows = len(batch.reason)
        labels = np.array([label_sets[labels] for labels in batch.labels], np.int32)
        genres = np.array([genre_sets[labels.genres] for labels in batch.labels], np.int32)
        columns = {
            "source": np.full(n_rows, batch.source, np.int16),
            "row": np.arange(batch.first_row, batch.first_row + n_rows, dtype=np.int32),
            "reason": np.array([reasons[reason] for reason in batch.reason], np.int16),
            "labels": labels[batch.label_codes],
            "genres": genres[batch.label_codes],
            **vars(batch.links),
        }
        for name, values in columns.items():
            parts[name].append(values)
        shards.append(batch.shard)
        rules.update(batch.rules)
        if len(defects) < SHOWN_DEFECTS:
            defects += [(batch.source, words) for words in batch.defects]
    starts = np.cumsum([0, *map(len, parts["row"])])[:-1]
    joined: dict[str, Any] = {name: np.concatenate(parts.pop(name)) for name in list(parts)}
    return Films(
        **joined,
        reasons=list(reasons),
        label_sets=list(label_sets),
        genre_sets=list(genre_sets),
        shards=shards,
        shard_starts=starts,
        rules=rules,
        defects=defects[:SHOWN_DEFECTS],
    )


def reject_rare_genres(films: Films, min_count: int) -> dict[str, int]:
    """Drop genres with fewer than `min_count` films, then the films that have no other genre."""
    usable = films.usable
    counts = films.genre_counts(usable)
    rare = {genre: n for genre, n in sorted(counts.items()) if n < min_count}
    films.map_genres(lambda genres: tuple(genre for genre in genres if genre not in rare))
    emptied = np.array([not genres for genres in films.genre_sets])[films.genres[usable]]
    films.reject(usable[emptied], RARE.format(min_count))
    return rare
