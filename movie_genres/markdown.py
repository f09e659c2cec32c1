"""A user's text in a Markdown page, such as a genre's name: shown as it is, never as markup."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"[\\`*_\[\]<>&|~$]")


def literal(text: object) -> str:
    """Escape a text for a line or a table cell of a Markdown page; line breaks become spaces.

    What starts Markdown, HTML, a cell, an entity or a formula gets a backslash, which no reader of
    the rendered page sees (CommonMark 0.31, section 2.4).
    """
    return _MARKUP.sub(r"\\\g<0>", " ".join(str(text).split()))
