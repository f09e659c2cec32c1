"""How far a piece of work is, once a minute, where there is no bar to look at."""

from __future__ import annotations

import time

SECONDS_PER_LINE = 60
"""Often enough to see that it lives, and a log of hours stays readable."""


class Pace:
    """Says when a line is due, and how long the work will take at its pace so far.

    Args:
        done: Parts that were done before an interruption.
    """

    def __init__(self, done: int = 0) -> None:
        self.began = self.last_line = time.monotonic()
        self.first = done

    def is_due(self) -> bool:
        """Whether the last line was a minute ago; the next one counts from now."""
        now = time.monotonic()
        if now - self.last_line < SECONDS_PER_LINE:
            return False
        self.last_line = now
        return True

    def left(self, done: int, parts: int) -> str:
        """Time that the other parts of the work will take, as in "90 s", "12 min" and "3.5 h"."""
        pace = (time.monotonic() - self.began) / max(1, done - self.first)
        seconds = round(pace * max(0, parts - done))
        if seconds < 120:
            return f"{seconds} s"
        return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
