"""What every source has: named columns, and records in their order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Malformed:
    """A record that cannot be read."""

    reason: str
    """Of rejected.csv and the report; the same for every record of its kind."""
    detail: str
    """Its line or row, and how it begins."""


Record = tuple[str, ...] | Malformed

OWN_SPLIT = "(split)"
"""The last column of a table that has splits of its own: the name of each record's split."""


class Table(Protocol):
    """A source that can be read several times, each time from its beginning."""

    @property
    def columns(self) -> list[str]:
        """Names in the source's order."""

    @property
    def notes(self) -> list[str]:
        """What a user should know about how it was read; one sentence each."""

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        """The cells of these columns for each record, as text; missing ones are empty."""


def as_text(value: Any) -> str:
    """A cell as text: lists and objects become JSON, a missing value becomes empty."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # NaN alone differs from itself
        return ""
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
