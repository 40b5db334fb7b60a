"""Ctrl-C and a request to end (SIGTERM): both end in an exception, so that whatever is open is cleaned up,
and neither cuts the cleaning up short."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

TERMINATED = 143
"""The exit status after SIGTERM, as a shell tells it."""
_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C and a request to end wait until the block is over. Elsewhere than in the main thread, which
    alone hears of signals, it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    former = {n: signal.getsignal(n) for n in _ENDING if callable(signal.getsignal(n))}
    try:
        for number in former:
            signal.signal(number, lambda heard, frame: waiting.append(heard))
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        for told in dict.fromkeys(waiting):
            signal.raise_signal(told)


@contextmanager
def no_hang_up() -> Iterator[None]:
    """Have SIGHUP end nothing until the block is over: whoever asks a service for a reload by it (`systemctl
    reload`) knows not whether that hears signals yet, or any more."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def end_on_request() -> None:
    """Let SIGTERM raise SystemExit, where nobody has said otherwise and there is something to say it to."""
    # Elsewhere than in the main thread nobody may say so.
    with suppress(ValueError):
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _end)


def hear_no_more() -> None:
    """Ignore both from now on: the process is ending, and what it still does is clean up."""
    with suppress(ValueError):
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
