"""Bundles as the commands take them: read, checked, its findings printed, built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING

from quell.engine.cli_group import FINDINGS, Unreadable
from quell.engine.cli_output import Busy, console, count, stderr

if TYPE_CHECKING:
    from quell.engine.bundle import Files
    from quell.engine.compile import Analysis, Build
    from quell.engine.stepper import Stepper
    from quell.grammar.diagnostics import Diagnostic, Report

    Reading = Callable[[Files, Report], Analysis]


MOST_SHOWN = 10
"""Errors that a command other than `check` prints."""


class Broken(SystemExit):
    """A bundle with errors, which were printed: the process ends with the status for findings."""

    def __init__(self) -> None:
        super().__init__(FINDINGS)


def read(folder: str, *, lints: bool = True, how: Reading | None = None) -> Analysis:
    """A bundle read and checked, whatever is wrong with it; `how` reads its files in another way than
    `analyse` does."""
    from quell.engine.bundle import read_bundle
    from quell.engine.cli_files import existing
    from quell.engine.compile import analyse
    from quell.grammar.diagnostics import Report

    hint = "name the folder that holds the .quell files; `quell init DIR` makes one"
    if not existing(folder, "folder", hint).is_dir():
        raise Unreadable(f"`{folder}` is a file", hint)
    report = Report()
    with Busy("reading the policies"):
        files = read_bundle(folder, report)
        return how(files, report) if how is not None else analyse(files, report, lints=lints)


def read_sound(folder: str, how: Reading | None = None) -> Analysis:
    """A bundle without errors. Errors are printed to standard error and end the process (`Broken`)."""
    analysis = read(folder, lints=False, how=how)
    if analysis.report.errors:
        errors = [d for d in analysis.diagnostics if d.severity == "error"]
        print_findings(errors[:MOST_SHOWN], analysis, stderr())
        told = f"{count(len(errors), 'error')} in the policies of {folder}"
        if len(errors) > MOST_SHOWN:
            told += "; `quell check` shows all"
        console(stderr()).print(told, style="red", soft_wrap=True)
        raise Broken
    return analysis


def built(folder: str, *, all_fields: bool = False) -> Build:
    """A bundle ready to run; errors as in `read_sound`."""
    from quell.engine.compile import build

    analysis = read_sound(folder)
    with Busy("compiling the policies"):
        return build(analysis, all_fields=all_fields)


def engine(folder: str) -> Stepper:
    """An engine for the bundle in a folder; errors as in `read_sound`."""
    from quell.engine.stepper import Stepper

    return Stepper(built(folder))


def print_findings(found: Sequence[Diagnostic], analysis: Analysis, stream: IO[str] | None = None) -> None:
    """Diagnostics with their source lines, in colour where somebody looks."""
    from quell.grammar.render import lines

    out = console(stream)
    for finding in found:
        for line in lines(finding, analysis.files.sources, out.width):
            out.print(line, soft_wrap=True)
        out.print()
