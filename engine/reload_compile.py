"""Compiles a frozen bundle beside the events that are being decided.

It is done in a thread, which gives the interpreter back to the event loop after `TURN` seconds wherever it is
in Python; only turning the generated functions into bytecode goes on for longer (20 ms for an event type with
300 rules; tests/bench/reload.py measures all of it). In a process of its own it would hold nothing up, but
what is compiled is objects that cannot be handed over. What did not change is not made again: the trees of
unchanged files, and the lists and models whose files are the same.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from quell.engine.bundle import Files, read_bundle
from quell.engine.compile import Build, ParseCache, analyse, build
from quell.engine.lists import load_lists
from quell.engine.models import load_models
from quell.engine.resolve import resolve
from quell.engine.symbols import Symbols
from quell.grammar.diagnostics import Report
from quell.signals.models import Model
from quell.signals.policy_lists import PolicyList

TURN = 0.0005
"""Seconds that the compiling thread may hold the interpreter while another wants it."""


class Turns:
    """Lets threads take shorter turns while somebody compiles; the setting is the whole process's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._usual = 0.0

    @contextmanager
    def short(self) -> Iterator[None]:
        """Short turns until the block ends."""
        with self._lock:
            if not self._users:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(TURN, self._usual))
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    sys.setswitchinterval(self._usual)


_TURNS = Turns()


class Compiler:
    """Compiles one version after another; the trees of the last one's files are kept."""

    def __init__(self) -> None:
        self._cache = ParseCache()

    def parse(self, folder: Path) -> None:
        """Parse a frozen bundle whatever is wrong with it: compiling it takes a fraction of the time then."""
        with _TURNS.short():
            self._cache.parse(read_bundle(folder, Report()), Report())

    def compile(
        self, folder: Path, name: str, former: Build | None = None, digests: Mapping[str, str] | None = None
    ) -> Build:
        """Compile a frozen bundle that was checked; `name` is what its folder was called. From a `former` one
        lists and models are taken over, as the `digests` of the files allow. Raises PolicyError.

        Neither lints nor the tests are looked at: the check did that.
        """
        with _TURNS.short():
            report = Report()
            files = read_bundle(folder, report)
            files.name = name or files.name
            lists: dict[str, PolicyList] | None = None
            models: dict[str, Model] | None = None
            if former is not None and digests is not None:
                symbols = resolve(self._cache.parse(files, Report()), Report())
                lists = _lists(symbols, files, report, former, digests)
                models = _models(symbols, files, report, former, digests)
            return build(
                analyse(
                    files,
                    report,
                    self._cache,
                    lints=False,
                    extend=lambda lowerer: None,
                    lists=lists,
                    models=models,
                )
            )


def _lists(
    symbols: Symbols, files: Files, report: Report, former: Build, digests: Mapping[str, str]
) -> dict[str, PolicyList]:
    """The bundle's lists: those of the former one that are declared and written the same, and the others
    loaded."""
    known = former.analysis
    same = {
        name: known.lists[name]
        for name, declared in symbols.lists.items()
        if name in known.lists
        and known.symbols.lists.get(name) == declared
        and known.lists[name].digest == digests.get(declared.file.plain or "")
    }
    others = {name: d for name, d in symbols.lists.items() if name not in same}
    loaded = load_lists(replace(symbols, lists=others), files, report, lints=False)
    found = same | loaded
    return {name: found[name] for name in symbols.lists if name in found}


def _models(
    symbols: Symbols, files: Files, report: Report, former: Build, digests: Mapping[str, str]
) -> dict[str, Model]:
    """The bundle's models, in the same way."""
    known = former.analysis
    same = {
        name: known.models[name]
        for name, declared in symbols.models.items()
        if name in known.models
        and known.symbols.models.get(name) == declared
        and known.models[name].digest == digests.get(declared.source.plain or "")
    }
    others = {name: d for name, d in symbols.models.items() if name not in same}
    loaded = load_models(replace(symbols, models=others), files, report)
    found = same | loaded
    return {name: found[name] for name in symbols.models if name in found}
