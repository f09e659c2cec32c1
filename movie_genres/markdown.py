"""Text from data, as it stands in a Markdown page: neither markup nor HTML."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"([\\`*_\[\]|~$])")
_HTML = {"<": "&lt;", ">": "&gt;"}
_ENTITY = re.compile(r"&(?=#?\w+;)")


def escaped(text: object) -> str:
    """`text` on one line, so that a page shows it letter by letter, in a table's cell too."""
    line = " ".join(str(text).split())
    line = _MARKUP.sub(r"\\\1", _ENTITY.sub("&amp;", line))
    return "".join(_HTML.get(letter, letter) for letter in line)
