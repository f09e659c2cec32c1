"""SIGTERM and Ctrl-C, turned into an exception that no library takes for an error of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(KeyboardInterrupt):
    """A signal asked for it. No library takes it for an error of its own."""

    after = ""
    """What was done."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.name = signal.Signals(signal_number).name
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        return f"stopped by {self.name} {self.after}; the same command resumes from there"


@contextmanager
def stopping_signals() -> Iterator[None]:
    """SIGTERM and Ctrl-C raise `StoppedError` wherever the main thread is."""

    def stop(number: int, _: FrameType | None) -> None:
        raise StoppedError(number)

    earlier = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
