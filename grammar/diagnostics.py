"""Diagnostics: what is wrong with a policy, where, and what to try.

A diagnostic's code is a stable slug with a section of its own in the language reference; `CODES` in
`quell.grammar.codes` lists them all.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quell.grammar.codes import CODES, Severity
from quell.grammar.source import Source, Span


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that belongs to a diagnostic, and why."""

    span: Span
    message: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `replacement` is the text that would mend it, when that can be said."""

    code: str
    message: str
    span: Span
    hint: str | None = None
    related: tuple[Related, ...] = ()
    replacement: str | None = None

    @property
    def severity(self) -> Severity:
        """`error` stops a bundle, `warning` does not."""
        return CODES[self.code].severity


@dataclass(slots=True)
class Report:
    """The diagnostics of a run, collected as they are found."""

    found: list[Diagnostic] = field(default_factory=list)

    def add(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        hint: str | None = None,
        related: Iterable[Related] = (),
        replacement: str | None = None,
    ) -> None:
        """Note one finding. An unknown code raises KeyError, since it would be undocumented."""
        CODES[code]
        self.found.append(Diagnostic(code, message, span, hint, tuple(related), replacement))

    def extend(self, more: Iterable[Diagnostic]) -> None:
        """Note several findings."""
        self.found.extend(more)

    @property
    def errors(self) -> list[Diagnostic]:
        """The findings that stop the bundle."""
        return [d for d in self.found if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        """The findings that do not."""
        return [d for d in self.found if d.severity == "warning"]

    def sorted(self) -> list[Diagnostic]:
        """All findings in order of place, each once."""
        return sort(self.found)


def sort(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Findings in order of place, each once."""
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda d: (d.span.file, d.span.start, d.span.end, d.code, d.message))


class PolicyError(Exception):
    """A bundle that cannot be used, with every reason."""

    def __init__(self, diagnostics: Iterable[Diagnostic], sources: Mapping[str, Source]) -> None:
        self.diagnostics = sort(diagnostics)
        self.sources = dict(sources)
        errors = sum(d.severity == "error" for d in self.diagnostics)
        lines = [plain(d, self.sources) for d in self.diagnostics if d.severity == "error"]
        super().__init__(f"{errors} error{'s' * (errors != 1)} in the policies\n" + "\n".join(lines))


def guess(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `name`, if one is like it."""
    close = difflib.get_close_matches(name, sorted(set(candidates)), n=1, cutoff=0.7)
    return close[0] if close else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """A hint naming the candidate most like `name`, or None."""
    best = guess(name, candidates)
    return f"did you mean `{best}`?" if best else None


def place(span: Span, sources: Mapping[str, Source]) -> str:
    """`file:line:column`, or what is known of it."""
    source = sources.get(span.file)
    if source is None:
        return span.file or "(nowhere)"
    at = source.position(span.start)
    return f"{span.file}:{at.line}:{at.column}"


def plain(d: Diagnostic, sources: Mapping[str, Source]) -> str:
    """One line without colour: place, severity, code, message, hint."""
    hint = f" ({d.hint})" if d.hint else ""
    return f"{place(d.span, sources)}: {d.severity}[{d.code}]: {d.message}{hint}"


def as_json(d: Diagnostic, sources: Mapping[str, Source]) -> dict[str, Any]:
    """The diagnostic as JSON-ready data; lines and columns count from 1, columns in characters."""
    return {
        "code": d.code,
        "severity": d.severity,
        "message": d.message,
        "hint": d.hint,
        "replacement": d.replacement,
        **_where(d.span, sources),
        "related": [{"message": r.message, **_where(r.span, sources)} for r in d.related],
    }


def _where(span: Span, sources: Mapping[str, Source]) -> dict[str, Any]:
    source = sources.get(span.file)
    if source is None:
        return {"file": span.file, "line": None, "column": None, "end_line": None, "end_column": None}
    start, end = source.position(span.start), source.position(span.end)
    return {
        "file": span.file,
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
    }
