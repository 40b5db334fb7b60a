"""Checks a frozen bundle and runs its tests, in a process of its own: the serving one keeps its time.

    python -m quell.engine.reload_check FOLDER [--against FOLDER] [--no-tests]

One line of JSON on standard output, a `Checked`. The process is the first that the system ends when memory
runs out, gives way to others unless somebody waits to put a version back (`--no-tests`), and ends when its
standard input does: whoever started it is gone then.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

import msgspec

from quell.engine.bundle import Files, read_bundle
from quell.engine.compile import Analysis, ParseCache, analyse, build
from quell.engine.policy_test_report import TestReport, TestResult
from quell.engine.policy_tests import run_tests
from quell.engine.reload_changes import changes
from quell.engine.service_types import Finding
from quell.grammar.diagnostics import Diagnostic, Report
from quell.grammar.source import Source

MOST = 100
"""Findings that are told."""
MOST_TEXT = 2_000
"""Characters of one message."""
NICE = 10


class Checked(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a check: the `findings` (the first of `errors` in number, tests that failed among them),
    how many warnings and tests there are, the `digest` of the bundle, and what `changed` against another. A
    bundle with errors has no digest, and its tests are not run. Where the check itself could not be done,
    which says nothing of the bundle, it is `undone`, and the findings say what happened."""

    findings: tuple[Finding, ...] = ()
    errors: int = 0
    warnings: int = 0
    tests: int = 0
    failed: int = 0
    digest: str = ""
    changed: tuple[str, ...] = ()
    undone: bool = False


def check(folder: Path, against: Path | None = None, tests: bool = True) -> Checked:
    """Check a bundle, run its tests, and say what changed. Raises nothing for what is wrong with a bundle."""
    cache, report = ParseCache(), Report()
    old = read_bundle(against, Report()) if against is not None else None
    if old is not None:
        cache.parse(old, Report())  # what is the same in both is parsed once
    files = read_bundle(folder, report)
    analysis = analyse(files, report, cache, lints=tests)
    warnings = len(report.warnings)
    errors = [d for d in analysis.diagnostics if d.severity == "error"]
    if errors:
        told = tuple(finding(d, files.sources) for d in errors[:MOST])
        return Checked(told, len(errors), warnings)
    digest = build(analysis).version
    ran = run_tests(analysis) if tests else TestReport([])
    failed = [failure for test in ran.tests for failure in _failures(test)]
    changed = () if old is None else _changed(old, analysis, cache)
    return Checked(tuple(failed[:MOST]), len(failed), warnings, len(ran.tests), ran.failed, digest, changed)


def _changed(old: Files, analysis: Analysis, cache: ParseCache) -> tuple[str, ...]:
    return tuple(line[:MOST_TEXT] for line in changes(old, analysis.files, cache))


def finding(found: Diagnostic, sources: dict[str, Source]) -> Finding:
    """A diagnostic as it is told: file within the bundle, line (0 where none is known)."""
    source = sources.get(found.span.file)
    line = source.position(found.span.start).line if source is not None else 0
    file = found.span.file if source is not None or not Path(found.span.file).is_absolute() else ""
    return Finding(file, line, found.message[:MOST_TEXT], found.code, (found.hint or "")[:MOST_TEXT])


def _failures(test: TestResult) -> list[Finding]:
    """What did not hold in a test."""
    return [
        Finding(
            failure.file,
            failure.line,
            f"the test `{test.title}` failed: expected `{failure.expected}`, but {failure.happened}"[
                :MOST_TEXT
            ],
        )
        for failure in test.failures
    ]


# ------------------------------------------------------------------- process


def main() -> None:
    """Run as a process."""
    said, sys.stdout = os.fdopen(os.dup(1), "wb"), sys.stderr
    os.dup2(2, 1)  # a library that prints must not spoil the answer
    words = sys.argv[1:]
    tests = "--no-tests" not in words
    _give_way(NICE if tests else 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    words = [w for w in words if w != "--no-tests"]
    against = Path(words[2]) if len(words) == 3 and words[1] == "--against" else None
    with said:
        said.write(msgspec.json.encode(check(Path(words[0]), against, tests)))


def _give_way(by: int) -> None:
    with contextlib.suppress(OSError):
        os.nice(by)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _end_with_parent() -> None:
    """Wait for the end of standard input, which the parent holds open as long as it lives."""
    with contextlib.suppress(OSError):
        while os.read(0, 1 << 16):
            pass
    os._exit(1)


if __name__ == "__main__":
    main()
