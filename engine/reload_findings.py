"""Findings of reloads: made, and those of the freezing and of the check put together."""

from __future__ import annotations

from collections.abc import Iterator

from quell.engine.reload_check import MOST, Checked, finding
from quell.engine.reload_freeze import Staged
from quell.engine.service_types import Finding
from quell.grammar.diagnostics import PolicyError, did_you_mean

_MISSING = "missing-file"


class Refusal(Exception):
    """A version that cannot be taken, with the findings to show, the first of so many `errors`; `undone`
    where they say nothing of the bundle, as it could not be checked."""

    def __init__(
        self, findings: tuple[Finding, ...], errors: int | None = None, undone: bool = False
    ) -> None:
        super().__init__(findings[0].message if findings else "")
        self.undone = undone
        self.findings = findings
        self.errors = len(findings) if errors is None else errors


def plain(message: str, hint: str = "") -> Finding:
    """A finding that is about no file."""
    return Finding("", 0, message, "", hint)


def said(error: OSError) -> str:
    """What the operating system refused, in a few words."""
    reason = (error.strerror or "it fails").lower()
    return f"`{error.filename}`: {reason}" if error.filename else reason


def broken(error: PolicyError) -> tuple[tuple[Finding, ...], int]:
    """What is wrong with a bundle that cannot be compiled, the first findings of so many."""
    errors = [d for d in error.diagnostics if d.severity == "error"]
    return tuple(finding(d, error.sources) for d in errors[:MOST]), len(errors)


def merged(staged: Staged, checked: Checked) -> tuple[tuple[Finding, ...], int]:
    """All findings about a bundle, and how many errors they are."""
    if staged.problems and not staged.files:  # there was nothing to check
        return staged.problems, len(staged.problems)
    found = (*staged.problems, *_explained(staged, checked))
    return found, len(staged.problems) + checked.errors


def _explained(staged: Staged, checked: Checked) -> Iterator[Finding]:
    """The findings of the check. What the copy lacks because it could not be read is told as that, and what
    lies beside in the folder helps to guess what was meant."""
    for found in checked.findings:
        name = found.message.split('"')[1] if found.code == _MISSING and found.message.count('"') > 1 else ""
        unread = staged.unread.get(name)
        if unread is not None:
            yield Finding(found.file, found.line, unread.message, unread.code, unread.hint)
        elif name:
            others = [*staged.others, *staged.files]
            hints = (did_you_mean(name, others), found.hint if "did you mean" not in found.hint else "")
            hint = ", or ".join(h for h in hints if h)
            yield Finding(found.file, found.line, found.message, found.code, hint)
        else:
            yield found
