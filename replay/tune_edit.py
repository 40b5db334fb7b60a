"""The edit that a setting is: the constant's characters in the policy file, and nothing else."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from quell.engine.bundle import Files
from quell.engine.compile import Analysis, analyse
from quell.grammar.diagnostics import Diagnostic, Report, plain
from quell.grammar.source import Source
from quell.replay.tune_constants import Constant, NoSweep
from quell.replay.tune_settings import spell


@dataclass(frozen=True, slots=True)
class Edit:
    """New texts of policy files by name, and what the linter says of the new bundle and not of the old."""

    before: Mapping[str, str]
    after: Mapping[str, str]
    warnings: tuple[Diagnostic, ...]
    sources: Mapping[str, Source]

    def diff(self, folder: str = "") -> str:
        """A unified diff, whose names stand in `folder`; empty where nothing changes."""
        out: list[str] = []
        for name in sorted(self.after):
            out += _unified(self.before[name], self.after[name], f"{folder}{name}")
        return "".join(out)


def edit(analysis: Analysis, values: Sequence[tuple[Constant, float]]) -> Edit:
    """The edit that gives constants these values. Raises NoSweep where the edited policies have errors."""
    texts: dict[str, str] = {}
    for constant, value in sorted(values, key=lambda v: v[0].span.start, reverse=True):
        span = constant.span
        text = texts.get(span.file, analysis.files.sources[span.file].text)
        texts[span.file] = text[: span.start] + spell(constant, value) + text[span.end :]
    sources = dict(analysis.files.sources)
    before = {name: sources[name].text for name in texts}
    sources.update({name: Source(name, text) for name, text in texts.items()})
    files = replace(analysis.files, sources=sources)
    report = Report()
    analyse(files, report, lists=analysis.lists, models=analysis.models)
    if report.errors:
        told = plain(report.sorted()[0], sources)
        raise NoSweep(f"with that value the policies have an error: {told}", "choose another value")
    return Edit(before, texts, tuple(_new(report, analysis.files)), sources)


def _new(report: Report, files: Files) -> list[Diagnostic]:
    """The findings that the policies did not have before."""
    if not report.found:
        return []
    old = Report()
    analyse(files, old)
    known = {(d.code, d.message) for d in old.found}
    return [d for d in report.sorted() if (d.code, d.message) not in known]


def _unified(before: str, after: str, name: str) -> list[str]:
    """The lines of a unified diff of one file. Lines end where the file's do."""
    a, b = _lines(before), _lines(after)
    out = []
    for line in difflib.unified_diff(a, b, _named(f"a/{name}"), _named(f"b/{name}")):
        out.append(line)
        if not line.endswith("\n"):
            out.append("\n\\ No newline at end of file\n")
    return out


def _named(name: str) -> str:
    """A file's name as git and patch read it: in quotes where it has characters that end a name, and with a
    tab behind it where it has spaces."""
    if not re.search(r'["\\\x00-\x1f\x7f]', name):
        return name + "\t" if " " in name else name
    made = "".join(_ESCAPES.get(c) or (c if c.isprintable() else _octal(c)) for c in name)
    return f'"{made}"'


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _octal(c: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in c.encode("utf-8", "surrogateescape"))


def _lines(text: str) -> list[str]:
    """Lines at LF alone, as diff and patch tell them; ends kept."""
    parts = text.split("\n")
    return [*(p + "\n" for p in parts[:-1]), *([parts[-1]] if parts[-1] else [])]
