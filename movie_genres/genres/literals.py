"""Genres that a program wrote: JSON, Python, NumPy, Java and Postgres lists, objects with names."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Mapping
from typing import Any

_NAME_KEYS = ("name", "genre", "genres", "label", "title", "description", "value", "text", "tag")
"""Keys of an object that may hold the name of a genre, the likeliest first."""
_NO_NAME = re.compile(
    r"(?:.*_)?(?:id|uri|url|href|link|type|lang|language|locale)s?$", re.IGNORECASE
)
_DEEPEST = 5
"""Lists inside lists, and texts inside lists that are lists themselves."""
_STRING = r"""[bBuU]?(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")"""
# NumPy writes no commas: ['Action' 'Drama'], over several lines if it is long.
_STRINGS = re.compile(rf"[\[({{]\s*+(?:{_STRING}(?>\s*,?)\s*+)*+[\])}}]", re.DOTALL)
_WRAPPED = re.compile(r"(?:np\.|numpy\.)?(?:array|list|set|frozenset|tuple)\((.*)\)", re.DOTALL)
_DTYPE = re.compile(r",?\s*dtype=[^\[\]{}]*$")
_JOINED_STRINGS = re.compile(r"""\w['"]\s+['"]\w""")
_JAVA_NAMES = re.compile(r"[{,]\s*name=([^,{}=]*)(?=[,}])")
_BRACKETS = {"[": "]", "{": "}", "(": ")"}


def is_literal(cell: str) -> bool:
    """Whether a cell, stripped and not empty, looks as if a program had written it."""
    if cell[0] in "[{":
        return True
    if cell[0] == "(":
        return cell[-1] == ")"
    if cell[0] in "'\"":  # a list that was written as JSON twice
        return cell.lstrip("'\"\\")[:1] in ("[", "{") and cell[-1] == cell[0]
    return cell.startswith(("b'", 'b"')) or bool(_WRAPPED.match(cell))


def literal_labels(cell: str) -> list[str]:
    """The names in a list or an object, or the keys of `{name: number}`; missing ones left out.

    Numbers, such as TMDB's ids of genres, are names too.

    Raises:
        ValueError: If the cell is none of these.
    """
    try:
        return _names(_parsed(cell), cell)
    except RecursionError:
        raise ValueError(f"not a list of genres: {cell[:80]!r}") from None


def _parsed(cell: str) -> Any:
    """The value that a cell stands for."""
    # Python's way to write what JSON writes differs by the quotes; to read it as JSON is twenty
    # times faster than as Python.
    as_json = cell if '"' in cell or "\\" in cell else cell.replace("'", '"')
    try:
        return json.loads(as_json)
    except (ValueError, RecursionError):
        pass
    while wrapped := _WRAPPED.fullmatch(cell):
        cell = _DTYPE.sub("", wrapped[1]).strip() or "[]"
    cell = _DTYPE.sub("", cell)
    if _STRINGS.fullmatch(cell):
        return [_string(found) for found in re.findall(_STRING, cell, re.DOTALL)]
    try:
        # Two strings side by side are one for Python, and what follows a # is nothing.
        if not _JOINED_STRINGS.search(cell) and is_literal(cell) and cell[-1] in "]})'\"":
            return ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    return _bare_names(cell)


def _string(written: str) -> str | bytes:
    if written[0] in "'\"" and "\\" not in written:
        return written[1:-1]
    try:
        value: str | bytes = ast.literal_eval(written)
    except (ValueError, SyntaxError):
        raise ValueError(f"neither JSON nor a Python literal: {written[:80]!r}") from None
    return value


def _bare_names(cell: str) -> list[str]:
    """`[Action, Drama]` of Java, `{Action,"Science Fiction"}` of Postgres, `[{name=Action}]`."""
    names = _JAVA_NAMES.findall(cell)
    if names and len(names) == cell.count("{"):
        return names
    inside = cell[1:-1]
    if (
        not cell
        or cell[-1] != _BRACKETS.get(cell[0])
        or len(cell) < 2
        or re.search(r"[\[\]{}]|\w\(", inside)
        or (cell[0] == "{" and re.search(r"[:=]", inside))
    ):
        raise ValueError(f"neither JSON nor a Python literal: {cell[:80]!r}")
    (names,) = csv.reader([" ".join(inside.split())], skipinitialspace=True) if inside else ([],)
    names = [re.sub(r"^'(.*)'$", r"\1", name.strip()) for name in names]
    if any('"' in name or name.count("'") > 1 for name in names):
        raise ValueError(f"neither JSON nor a Python literal: {cell[:80]!r}")
    return names


def _names(value: Any, cell: str, depth: int = 0) -> list[str]:
    """Names of genres in a value, however deep."""
    if depth > _DEEPEST:
        raise ValueError(f"not a list of genres: {cell[:80]!r}")
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if value is None or value != value:  # NaN alone differs from itself
        return []
    if isinstance(value, str):
        text = value.strip()
        closed = text[:1] not in ("[", "{") or text[-1:] in ("]", "}")
        if text and text[0] != "(" and closed and is_literal(text):
            return _names(_parsed(text), cell, depth + 1)
        return [value]
    if isinstance(value, Mapping):
        return _names_of_object(value, cell, depth)
    if isinstance(value, list | tuple | set):
        items = sorted(value, key=str) if isinstance(value, set) else value
        return [name for item in items for name in _names(item, cell, depth + 1)]
    if isinstance(value, int | float) and not isinstance(value, bool) and depth:
        return [str(int(value)) if value == value // 1 else str(value)]
    raise ValueError(f"not a list of genres: {cell[:80]!r}")


def _names_of_object(value: Mapping[Any, Any], cell: str, depth: int) -> list[str]:
    keys = {str(key).casefold(): key for key in value}
    plausible = [keys[key] for key in _NAME_KEYS if key in keys]
    texts = [key for key in plausible if isinstance(value[key], str | list | Mapping)]
    if texts:
        return _names(value[texts[0]], cell, depth + 1)
    if plausible and all(value[key] is None for key in plausible):
        return []
    texts = [k for k, v in value.items() if isinstance(v, str) and not _NO_NAME.match(str(k))]
    if depth == 0 and len(value):  # {id: name} or {name: how many}
        if all(isinstance(number, int | float) for number in value.values()):
            texts = [str(key) for key, number in value.items() if number]
            if not any(_NO_NAME.match(text) for text in texts):
                return texts
        elif texts:
            return [name for item in value.values() for name in _names(item, cell, depth + 1)]
    elif len(texts) == 1:
        return [value[texts[0]]]
    elif not value:
        return []
    raise ValueError(f"a genre without a name: {cell[:80]!r}")
