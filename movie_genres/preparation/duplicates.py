"""Films that are the same film: equal and nearly equal plots are found, so that they stay together.

A plot that stands in train and in test would let the model recite instead of generalise. Nearly
equal plots are found by MinHash over runs of three words, in bands (Broder, 1997; Leskovec,
Rajaraman and Ullman, ch. 3), and each pair is then compared exactly.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NEARLY_EQUAL = 0.8
"""Jaccard similarity of two plots' runs of three words from which they are the same plot."""
BANDS, BAND_ROWS = 9, 4
"""A pair at 0.8 shares a band with probability 0.991; one at 0.3 with 0.07, and is compared."""

_NO_ID = frozenset(("", "0", "-", "n/a", "na", "nan", "none", "null", "unknown"))
_WORD = re.compile(r"\w+")
_WORD_SIGNS = b"abcdefghijklmnopqrstuvwxyz0123456789_"
_WORDS_ONLY = bytes(sign if sign in _WORD_SIGNS else 0x20 for sign in bytes(range(256)).lower())
_RNG = np.random.default_rng(20_260_101)  # fixed: the same plots are neighbours in every run
_FACTORS = _RNG.integers(0, 2**31, BANDS * BAND_ROWS, dtype=np.uint32) * 2 + 1
_SHIFTS = _RNG.integers(0, 2**32, BANDS * BAND_ROWS, dtype=np.uint32)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_BASE = int(_MIX)  # of the words' polynomials; odd, so that it has an inverse
_INVERSE = pow(_BASE, -1, 2**64)
_BLOCK = 2**20
"""Bytes of texts that are hashed at once; more would only take memory."""


def words(text: str) -> list[bytes]:
    """The words of a text in lower case, without signs."""
    if text.isascii():
        return text.encode("ascii").translate(_WORDS_ONLY).split()
    return [word.encode(errors="replace") for word in _WORD.findall(text.casefold())]


def text_key(text: str) -> str:
    """The words of a text alone: two texts that differ in case, blanks or signs share it."""
    return b" ".join(words(text)).decode()


def id_key(identifier: str) -> str:
    """The identifier, or blank where a database writes that it has none."""
    return "" if identifier.strip().casefold() in _NO_ID else identifier.strip()


def key_hash(key: bytes) -> int:
    """64 bits of a key, the same on every machine; 0 for a blank one, which equals no other."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little") if key else 0


@dataclass(frozen=True)
class WordHashes:
    """The words of many texts as numbers, one text after the other."""

    hashes: np.ndarray
    """A polynomial of each word's bytes, modulo 2**64; uint64, shape (n_words,)."""
    counts: np.ndarray
    """Words of each text, shape (n_texts,)."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> WordHashes:
        """Hashes of what `words` gives for each text, without making the words."""
        lines = [
            text.encode("ascii").translate(_WORDS_ONLY)
            if text.isascii()
            else b" ".join(words(text))
            for text in texts
        ]
        block = np.cumsum([len(line) for line in lines], dtype=np.int64) // _BLOCK
        bounds = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(lines)]
        parts = [_hash_words(lines[a:b]) for a, b in itertools.pairwise(bounds)]
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def keys(self) -> np.ndarray:
        """64 bits for all words of each text in their order; 0 for a text without words."""
        ends = np.cumsum(self.counts)
        filled = self.counts > 0
        place = np.arange(len(self.hashes)) - np.repeat(ends - self.counts, self.counts)
        mixed = _mix(self.hashes + (place.astype(np.uint64) + np.uint64(1)) * _MIX)
        keys = np.zeros(len(self.counts), dtype=np.uint64)
        if filled.any():
            sums = np.add.reduceat(mixed, (ends - self.counts)[filled])
            keys[filled] = np.maximum(_mix(sums), np.uint64(1))
        return keys


def _mix(values: np.ndarray) -> np.ndarray:
    """Spread 64 bits over 64 (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hash_words(lines: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the words of all lines, and how many words each line has."""
    signs = np.frombuffer(b" ".join([b"", *lines, b""]), dtype=np.uint8)
    blank = signs == ord(" ")
    edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    line_ends = np.cumsum([len(line) + 1 for line in lines])
    before = np.searchsorted(starts, line_ends, side="right")
    # The polynomial of a word is the difference of two sums from the first sign on, moved down to
    # the power of zero.
    sums = np.zeros(len(signs) + 1, dtype=np.uint64)
    np.cumsum(signs * _powers(_BASE, len(signs)), out=sums[1:])
    hashes = (sums[ends] - sums[starts]) * _powers(_INVERSE, len(signs))[starts]
    return hashes, np.diff(before, prepend=0)


_known_powers: dict[int, np.ndarray] = {}


def _powers(base: int, count: int) -> np.ndarray:
    """`base` to the powers from 0 on, modulo 2**64; shape (count,)."""
    powers = _known_powers.get(base)
    if powers is None or len(powers) < count:
        factors = np.full(max(count, 2 * _BLOCK), base, dtype=np.uint64)
        factors[0] = 1
        powers = _known_powers[base] = np.cumprod(factors, dtype=np.uint64)
    return powers[:count]


def plot_bands(plots: WordHashes) -> np.ndarray:
    """MinHash bands of plots: nearly equal plots have at least one in common.

    Returns:
        uint64, shape (n_plots, BANDS); zeros for plots without words.
    """
    bands = np.zeros((len(plots.counts), BANDS), dtype=np.uint64)
    filled = np.flatnonzero(plots.counts)
    if not len(filled):
        return bands
    # What is shorter than a run is filled up to one.
    missing = np.maximum(3 - plots.counts[filled], 0)
    at = np.repeat(np.cumsum(plots.counts[filled]), missing)
    hashes = np.insert(plots.hashes, at, 0) if len(at) else plots.hashes
    lengths = plots.counts[filled] + missing
    runs = hashes.copy()
    # A run of three ends at each word from the third on.
    runs[1:] += hashes[:-1] * np.uint64(0x100000001B3)
    runs[2:] += hashes[:-2] * np.uint64(0x1B873593CC9E2D51)
    runs = ((runs * _MIX) >> np.uint64(32)).astype(np.uint32)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    keep = np.ones(len(runs), dtype=bool)
    keep[starts] = keep[starts + 1] = False
    runs = runs[keep]
    counts = lengths - 2
    offsets = np.cumsum(counts) - counts
    signature = np.empty((len(filled), BANDS * BAND_ROWS), dtype=np.uint32)
    for column, (factor, shift) in enumerate(zip(_FACTORS, _SHIFTS, strict=True)):
        signature[:, column] = np.minimum.reduceat(runs * factor + shift, offsets)
    mixed = np.zeros((len(filled), BANDS), dtype=np.uint64)
    for row in range(BAND_ROWS):
        mixed = (mixed ^ signature[:, row::BAND_ROWS]) * _MIX
        mixed ^= mixed >> np.uint64(29)
    bands[filled] = mixed
    return bands


def nearly_equal_pairs(
    bands: np.ndarray, plots_of: Callable[[np.ndarray], Iterable[str]]
) -> np.ndarray:
    """Pairs of rows whose plots are nearly equal.

    Args:
        bands: Of each row, as `plot_bands` gives them; zeros match nothing.
        plots_of: Gives the plots of row numbers (ascending, without repeats).

    Returns:
        Row numbers, shape (n_pairs, 2). In a large group each row is paired with the first row of
        a band, not with all others.
    """
    pairs = np.concatenate([_repeats(band) for band in bands.T])
    # Two row numbers as one, which is sorted ten times faster than pairs are.
    numbers = np.unique(pairs[:, 0] * len(bands) + pairs[:, 1])
    candidates = np.column_stack(np.divmod(numbers, max(1, len(bands))))
    rows = np.unique(candidates)
    runs = {row: _runs(plot) for row, plot in zip(rows.tolist(), plots_of(rows), strict=True)}
    equal = [_jaccard(runs[a], runs[b]) >= NEARLY_EQUAL for a, b in candidates.tolist()]
    return candidates[np.array(equal, dtype=bool)]


def _repeats(values: np.ndarray) -> np.ndarray:
    """Each row whose value stands in an earlier row, with the first such row before it.

    Blank strings and zeros repeat nothing. Values are expected to be different for the most part.

    Returns:
        Row numbers, shape (n_repeats, 2).
    """
    ordered = np.sort(values)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    repeated = repeated[repeated != values.dtype.type()]
    if not len(repeated):
        return np.empty((0, 2), dtype=np.int64)
    # Arrow looks each up in a hash table, some ten times faster than numpy in a sorted array.
    rows = np.flatnonzero(pc.is_in(pa.array(values), value_set=pa.array(repeated)))
    _, first, inverse = np.unique(values[rows], return_index=True, return_inverse=True)
    pairs = np.column_stack([rows[first[inverse]], rows])
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _runs(plot: str) -> frozenset[tuple[bytes, ...]]:
    found = words(plot)
    return frozenset(zip(found, found[1:], found[2:], strict=False)) or frozenset([tuple(found)])


def _jaccard(a: frozenset, b: frozenset) -> float:
    return len(a & b) / len(a | b)


def same_film_groups(
    keys: Sequence[Sequence[str] | np.ndarray], pairs: np.ndarray | None = None
) -> np.ndarray:
    """Group rows that share any key, directly or through other rows.

    Args:
        keys: One sequence of n_rows strings or numbers for each kind of key (identifier, plot,
            ...). Blank strings and zeros match nothing.
        pairs: Rows that belong together besides, shape (n_pairs, 2).

    Returns:
        Group numbers, shape (n_rows,), counted from 0 in order of first appearance.
    """
    n_rows = len(keys[0])
    edges = [np.empty((0, 2), dtype=np.int64) if pairs is None else pairs]
    edges += [_repeats(np.asarray(column)) for column in keys]
    source, target = np.concatenate(edges).T
    graph = coo_array((np.ones(len(source), dtype=np.int8), (source, target)), (n_rows, n_rows))
    return in_order(connected_components(graph, directed=False)[1])


def in_order(numbers: np.ndarray) -> np.ndarray:
    """The same groups, numbered from 0 in order of first appearance."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
