"""Genres as people and programs write them: columns in random formats are read back as written."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

import prepare_dataset
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.formats import detect_genre_format, names_of_column
from movie_genres.genres.labels import GenreReader

ROWS = 200
"""Of a column."""
UNLISTED = [
    ["Komödie", "Krimi", "Abenteuer", "Liebesfilm", "Kriegsfilm", "Zeichentrick", "Heimatfilm"],
    ["комедия", "драма", "фантастика", "боевик", "мелодрама", "триллер", "документальный"],
    ["코미디", "드라마", "액션", "스릴러", "공포", "멜로", "애니메이션"],
    ["コメディ", "ドラマ", "アクション", "ホラー", "恋愛", "戦争", "時代劇"],
]
OF_SEVERAL_WORDS = ["Sword and Planet", "True Adventure", "научная фантастика", "Film d'auteur"]
SEPARATORS = [
    *("|", " | ", ";", "; ", ",", ", ", "/", " / ", "+", " + ", " - ", "\n", "\r\n", ",\n", "\t"),
    *(" · ", "·", " • ", "、", " "),
]
MIXED = [(", ", "|"), (", ", " / "), ("|", ", "), ("; ", ","), (", ", " & "), ("|", "+")]
Names = Sequence[str]
Written = Callable[[Names], str]
WRITERS: dict[str, Written] = {
    "JSON": lambda names: json.dumps(list(names)),
    "Python list": lambda names: repr(list(names)),
    "Python tuple": lambda names: repr(tuple(names)),
    "Python set": lambda names: repr(set(names)),
    "NumPy": lambda names: str(np.array(names, dtype=object)),
    "NumPy, repr": lambda names: repr(np.array(names, dtype=object)),
    "Java": lambda names: f"[{', '.join(names)}]",
    "Java, objects": lambda names: (
        "[" + ", ".join(f"{{id={i}, name={name}}}" for i, name in enumerate(names)) + "]"
    ),
    "Postgres": lambda names: (
        "{" + ",".join(f'"{name}"' if " " in name else name for name in names) + "}"
    ),
    "quoted": lambda names: ", ".join(f'"{name}"' for name in names),
    "objects": lambda names: json.dumps([{"id": i, "name": n} for i, n in enumerate(names)]),
    "objects, genre": lambda names: repr([{"genre": name} for name in names]),
    "objects, description": lambda names: repr([{"id": "3", "description": n} for n in names]),
    "by id": lambda names: json.dumps({f"/m/{i}": name for i, name in enumerate(names)}),
    "counted": lambda names: json.dumps({name: i + 1 for i, name in enumerate(names)}),
    "JSON twice": lambda names: json.dumps(json.dumps(list(names))),
    "list in a text in a list": lambda names: json.dumps([repr(list(names))]),
    "with null": lambda names: json.dumps([*names, None]),
    "escaped": lambda names: json.dumps([html.escape(name) for name in names]),
}  # fmt: skip


def fuzz_written_genres(rng: np.random.Generator, count: int) -> Counter[str]:
    """Columns of known or unlisted genres in a random format, `count` cells in all.

    Raises:
        SystemExit: At the first cell that is not read back as what was written.
    """
    aliases = GenreAliases.read(prepare_dataset.ALIASES)
    counts: Counter[str] = Counter()
    known = [name for name in aliases.genres() if aliases.canonical([name]).genres == [name]]
    while counts.total() < count:
        kind = int(rng.integers(0, 3 * len(UNLISTED)))
        names = known if kind >= len(UNLISTED) else UNLISTED[kind]
        how, write = _writer(rng, counts)
        if kind < len(UNLISTED) and how != "' '":
            names = [*names, *OF_SEVERAL_WORDS]
        rows = [
            list(rng.choice(names, min(len(names), 1 + int(rng.poisson(1.2))), replace=False))
            for _ in range(ROWS)
        ]
        rows = [[str(name) for name in row] for row in rows]
        _check(rows, [write(row) for row in rows], how, aliases)
        counts["genres in " + ("a list" if how in WRITERS else "one text")] += ROWS
    return counts


def _writer(rng: np.random.Generator, counts: Counter[str]) -> tuple[str, Written]:
    choice = int(rng.integers(0, 3))
    if choice == 0:
        how = str(rng.choice(list(WRITERS)))
        return how, WRITERS[how]
    if choice == 1:
        separator = SEPARATORS[int(rng.integers(0, len(SEPARATORS)))]
        return repr(separator), separator.join
    most, few = MIXED[int(rng.integers(0, len(MIXED)))]
    return f"{most!r} and {few!r}", lambda row: (few if rng.random() < 0.15 else most).join(row)


def _check(rows: list[list[str]], cells: list[str], how: str, aliases: GenreAliases) -> None:
    genre_format = detect_genre_format(cells, aliases)
    read = GenreReader(
        genre_format, aliases.with_seen(names_of_column(cells, genre_format, aliases))
    )
    for row, cell in zip(rows, cells, strict=True):
        labels = read(cell)
        if labels.error or list(labels.genres) != aliases.canonical(row).genres:
            raise SystemExit(
                f"{how}, taken for {genre_format}: {cell!r} was read as {labels.raw} {labels.error}"
            )
