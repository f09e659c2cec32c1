"""Worker processes, which end with the command however it ends."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any


class InProcess(Executor):
    """Does each task at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def start_workers(
    num_proc: int, initializer: Callable[..., object], *arguments: Any
) -> Iterator[Executor]:
    """Processes that have called `initializer`; for `num_proc` 1, this process.

    Raises:
        OSError: If one of them was killed.
    """
    if num_proc == 1:
        initializer(*arguments)
        yield InProcess()
        return
    # Imported modules are never garbage. Searching them for garbage would copy their pages into
    # each forked process.
    gc.freeze()
    # Forked where that is safe: a spawned process would import the whole command again.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    start = (initializer, arguments)
    with ProcessPoolExecutor(num_proc, context, _start, start) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise OSError(
                "a process was killed, perhaps for lack of memory; --num-proc 1 needs the least"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _start(initializer: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    # What asks the command to stop reaches its workers too; the command ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    initializer(*arguments)


def _end_with(parent: BaseProcess) -> None:
    # A killed command does not stop its workers, which would wait for ever.
    parent.join()
    os._exit(1)
