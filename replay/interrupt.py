"""Ctrl-C while a database works: the query is stopped, and the interrupt goes on as Python raises it.

Python looks at signals between two of its own steps, and a query is one step however long it takes. The
system's own handler, though, writes at once to a descriptor that a thread can wait on.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

_AGAIN = 0
"""Written where an interrupt was lost. No signal has this number."""
_MOMENT = 0.02
"""Seconds after which a lost interrupt is raised again: long enough for what lost it to be over."""


@contextmanager
def interruptible(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let Ctrl-C, and SIGTERM where it raises something, stop the queries of a connection within the block.
    Whatever a stopped query comes to, the block then ends in what the signal raises. Elsewhere than in the
    main thread, which alone hears of signals, it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    former = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    listener = _Listener(heard, former, con)
    listener.start()
    former_hook, sys.unraisablehook = sys.unraisablehook, _Hook(told, sys.unraisablehook)
    failed = None
    try:
        yield
    except Exception as error:
        failed = error
    finally:
        sys.unraisablehook = former_hook
        signal.set_wakeup_fd(former)
        os.close(told)
        listener.join()
        os.close(heard)
    if listener.number and (failed is not None or listener.lost):
        signal.raise_signal(listener.number)
    if failed is not None:
        raise failed


class _Listener(threading.Thread):
    """Stops the query at each signal that ends the program, and hands on every signal to whoever listened
    before. `number` is the one that was heard, 0 for none, and `lost` whether what it raised was dropped."""

    def __init__(self, heard: int, former: int, con: duckdb.DuckDBPyConnection) -> None:
        super().__init__(daemon=True)
        self._heard, self._former, self._con = heard, former, con
        self._ending = [n for n in (signal.SIGINT, signal.SIGTERM) if callable(signal.getsignal(n))]
        self.number, self.lost = 0, False

    def run(self) -> None:
        """Listen until the other end is closed."""
        while numbers := os.read(self._heard, 64):
            if self._former != -1 and (others := numbers.replace(bytes([_AGAIN]), b"")):
                os.write(self._former, others)
            for number in self._ending:
                if number in numbers:
                    self.number = self.number or number
                    self._con.interrupt()
            if _AGAIN in numbers and self.number:
                self.lost = True
                time.sleep(_MOMENT)
                _thread.interrupt_main(signal.Signals(self.number))


class _Hook:
    """Hears of an interrupt that was raised where Python has to drop it, in the callback of a weak reference
    for instance, of which DuckDB makes one for each result. It is asked for once more."""

    def __init__(self, told: int, former: Any) -> None:
        self._told, self._former = told, former

    def __call__(self, lost: Any) -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt | SystemExit):
            os.write(self._told, bytes([_AGAIN]))
        else:
            self._former(lost)
