"""Ctrl-C while a database works: the query is stopped, and the interrupt goes on as Python raises it.

Python looks at signals between two of its own steps, and a query is one step however long it takes. The
system's own handler, though, writes at once to a descriptor that a thread can wait on.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@contextmanager
def interruptible(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let Ctrl-C stop the queries of a connection within the block. Elsewhere than in the main thread, which
    alone hears of signals, it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    former = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(heard, former, con), daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        os.close(told)
        listener.join()
        os.close(heard)


def _listen(heard: int, former: int, con: duckdb.DuckDBPyConnection) -> None:
    """Stop the query at each interrupt, and hand on every signal to whoever listened before."""
    while numbers := os.read(heard, 64):
        if former != -1:
            os.write(former, numbers)
        if signal.SIGINT in numbers:
            con.interrupt()
