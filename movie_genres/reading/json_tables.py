"""JSON Lines and JSON. Fields of objects inside a record are columns too, whatever their depth."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from movie_genres.errors import InputError
from movie_genres.reading.encodings import Encoding
from movie_genres.reading.records import Malformed, Record, as_text

_HEAD_RECORDS = 1000
_LARGEST_JSON = 2**28
"""Bytes of a JSON file that is read as a whole; JSON Lines have no such limit."""
_DEEPEST = 4
"""Levels of objects in objects."""
_LONGEST_LINE = 2**24
"""Characters of a first line that may be a record of JSON Lines."""


def json_table(path: Path, encoding: Encoding) -> _ObjectTable:
    """A file as JSON Lines or as JSON, by its first two lines; its name decides in doubt."""
    with encoding.open(path) as file:
        begun = (line for line in iter(lambda: file.readline(_LONGEST_LINE), "") if line.strip())
        first = next(begun, "").strip()
        is_object = first[:1] == "{" and first[-1:] == "}"
        several = is_object and next(begun, "").lstrip()[:1] == "{"
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        several = first[:1] != "[" and first != "{"
    return JsonLinesTable(path, encoding) if several else JsonTable(path, encoding)


class _ObjectTable:
    """Records that are mappings; subclasses say where they come from."""

    path: Path
    notes: list[str]

    def __init__(self) -> None:
        head = list(itertools.islice(self._objects(), _HEAD_RECORDS))
        objects = [item for item in head if isinstance(item, dict)]
        self._places = _column_places(objects)
        self.columns = list(self._places)
        if not head:
            raise InputError(f"{self.path} is empty: it has no rows")
        if not self.columns:
            broken = next((item.detail for item in head if isinstance(item, Malformed)), head[0])
            raise InputError(f"{self.path} cannot be read, it is not well-formed: {broken}")

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        places = [self._places[column] for column in columns]
        for number, item in enumerate(self._objects(), 1):
            if isinstance(item, Malformed):
                yield item
            elif isinstance(item, dict):
                yield tuple([
                    as_text(item.get(place[0]) if len(place) == 1 else _inside(item, place))
                    for place in places
                ])  # fmt: skip
            else:
                yield Malformed("no object with named fields", f"row {number}: {str(item)[:80]!r}")

    def _objects(self) -> Iterator[Any]:
        raise NotImplementedError


class JsonLinesTable(_ObjectTable):
    """One JSON object a line."""

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self.path, self.encoding = path, encoding
        self.notes = list(encoding.notes)
        super().__init__()

    def _objects(self) -> Iterator[Any]:
        # Only LF ends a line: a JSON text may contain U+2028 and the like.
        with self.encoding.open(self.path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield json.loads(line)
                    except (ValueError, RecursionError) as error:
                        yield Malformed("not well-formed JSON", f"line {number}: {error}")


class JsonTable(_ObjectTable):
    """An array of objects, one object that holds one such array, or objects by their ids."""

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self.path, self.encoding = path, encoding
        if path.stat().st_size > _LARGEST_JSON:
            raise InputError(
                f"{path} is larger than {_LARGEST_JSON // 2**20} MiB; JSON is read as a whole, so "
                "convert it to JSON Lines, which are not: "
                f"jq -c '.[]' {path.name} > {path.stem}.jsonl"
            )
        self.notes = list(encoding.notes)
        super().__init__()

    def _objects(self) -> Iterator[Any]:
        with self.encoding.open(self.path) as file:
            text = file.read()
        if text.lstrip()[:1] == "[":
            yield from _array_items(text, text.index("[") + 1)
        else:
            yield from self._only_array(text)

    def _only_array(self, text: str) -> list[Any]:
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{self.path} cannot be read, it is not well-formed: {error}"
            ) from None
        items = whole if isinstance(whole, dict) else {}
        arrays = {
            name: value
            for name, value in items.items()
            if isinstance(value, list) and any(isinstance(item, dict) for item in value)
        }
        if len(arrays) == 1:
            return next(iter(arrays.values()))
        if not arrays and _is_keyed(items):
            return [{"id": key} | value for key, value in items.items()]
        name, new = self.path.name, f"{self.path.stem}_records.json"
        raise InputError(
            f"{self.path} is one JSON object, which must hold one array of objects; found: "
            f"{', '.join(arrays) or 'none'}; save the array of films alone. "
            "If pandas wrote it, in Python: import pandas as pd; "
            f"open({new!r}, 'w').write(pd.read_json({name!r}, dtype=False)"
            ".to_json(orient='records'))"
        )


def _is_keyed(items: Mapping[str, Any]) -> bool:
    """Whether an object holds records by their ids: more of them than they have fields.

    The columns that `DataFrame.to_json` writes are objects too, each with a field for every row.
    """
    if not items or not all(isinstance(value, dict) for value in items.values()):
        return False
    return len(items) > len({name for value in items.values() for name in value})


def _array_items(text: str, position: int) -> Iterator[Any]:
    """Items of a JSON array, and one `Malformed` for the rest where it is truncated or broken."""
    decoder = json.JSONDecoder()
    while True:
        position += len(text[position : position + 2**12]) - len(
            text[position : position + 2**12].lstrip(" \t\r\n,")
        )
        if text[position : position + 1] == "]":
            return
        try:
            item, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, position) + 1
            yield Malformed("truncated or broken JSON", f"from line {line} on: {error}")
            return
        yield item


Place = tuple[str, ...]
"""Names that lead to a field: those of the objects around it, and its own."""


def _column_places(objects: Sequence[Mapping[str, Any]]) -> dict[str, Place]:
    """Columns and where they are in a record.

    A field of an object inside a record (`info`: {`plot`: ...}) has its own name, `plot`, where
    that is no other field's, else all names: `info.plot`. Fields that fewer than half of these
    objects have are no columns: such objects are values (`{"/m/02l7c8": "Romance Film"}`), and
    every object is a column as well.
    """
    outer: dict[Place, None] = {(name,): None for item in objects for name in item}
    inner: dict[Place, None] = {}
    todo = list(outer)
    while todo:
        place = todo.pop(0)
        found = [_inside(item, place) for item in objects]
        values = [value for value in found if isinstance(value, dict)]
        given = sum(value is not None for value in found)
        counts = Counter(name for value in values for name in value)
        if len(place) >= _DEEPEST or 2 * len(values) < given:
            continue
        below = [(*place, name) for name, count in counts.items() if 2 * count >= len(values)]
        inner.update(dict.fromkeys(below))
        todo += below
    last = Counter(place[-1].casefold() for place in (*outer, *inner))
    named = {place[0]: place for place in outer}
    for place in inner:
        named.setdefault(place[-1] if last[place[-1].casefold()] == 1 else ".".join(place), place)
    return named


def _inside(item: Any, place: Place) -> Any:
    for name in place:
        if not isinstance(item, dict):
            return None
        item = item.get(name)
    return item
