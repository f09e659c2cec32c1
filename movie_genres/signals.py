"""SIGTERM and Ctrl-C: an exception that no library takes for an error of its own.

Also what stands for a SIGTERM: the end of the launcher.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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


_LAUNCHERS = ("accelerate", "accelerate.commands.launch", "torchrun", "torch.distributed.run")


def stop_with_launcher(poll_seconds: float = 0.5) -> None:
    """Where a launcher started this process: get SIGTERM when the launcher is gone.

    `accelerate launch` of one process dies of a SIGTERM and does not pass it on; no launcher passes
    on a SIGKILL. A process that a shell or a scheduler started is left alone: it may outlive them.
    """
    import psutil  # using a model needs neither this nor a launcher

    launcher = os.getppid()
    try:
        command = psutil.Process(launcher).cmdline()
    except psutil.Error:
        return
    if not any(Path(word).name in _LAUNCHERS for word in command[:4]):
        return

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(poll_seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
