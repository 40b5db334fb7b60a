"""A small bundle for the tests of the lints, and what they say about one condition or declaration."""

from __future__ import annotations

from collections.abc import Mapping

from quell.engine.bundle import Files
from quell.engine.compile import Analysis, analyse
from quell.grammar.diagnostics import Diagnostic
from quell.grammar.source import Source

SCHEMA = """\
entity User labels "spammer", "trusted"
entity Server

event message from "message"
  id        text      = $.id
  at        time      = $.at
  author    User      = $.author
  server    Server    = $.server
  content   text      = $.content
  channel   text      = $.channel
  lang      one of ["en", "de", "fr"] = $.lang
  risk      number    = $.risk
  trust     number    = $.trust
  age       duration  = $.age
  flag      bool      = $.flag
  joined    time?     = $.joined
  bio       text?     = $.bio
  likes     number?   = $.likes
  sure      bool?     = $.sure
  mentions  list<User> = $.mentions[*]

event note from "note"
  id        text      = $.id
  at        time      = $.at
  author    User      = $.author
  content   text      = $.content
  risk      number    = $.risk
"""

ABOUT_CONDITIONS = ("never-true", "always-true", "constant-condition", "subsumed")


def check(text: str, files: Mapping[str, bytes] | None = None, *, schema: str = SCHEMA) -> Analysis:
    """A bundle of the schema and these declarations, read and checked."""
    return analyse(Files("bundle", {"a.quell": Source("a.quell", schema + text)}, extra=files or {}))


def said(
    text: str, *codes: str, files: Mapping[str, bytes] | None = None, errors: bool = False
) -> list[Diagnostic]:
    """The findings of these codes about declarations, which must have no errors but where told."""
    analysis = check(text, files)
    assert errors or not analysis.report.errors, analysis.report.errors
    return [d for d in analysis.diagnostics if d.code in codes]


def places(
    text: str, *codes: str, files: Mapping[str, bytes] | None = None, errors: bool = False
) -> list[str]:
    """The text at which these codes are reported, in order of place."""
    return [at(d, text) for d in said(text, *codes, files=files, errors=errors)]


def at(diagnostic: Diagnostic, text: str) -> str:
    """The part of the declarations that a finding points at."""
    return (SCHEMA + text)[diagnostic.span.start : diagnostic.span.end]


def idle(condition: str) -> list[tuple[str, str]]:
    """What is said of a rule's condition: each code with the part it points at."""
    text = f"rule r on message when {condition} then block\n"
    return [(d.code, at(d, text)) for d in said(text, *ABOUT_CONDITIONS)]


def mended(text: str, diagnostic: Diagnostic) -> str:
    """The declarations after a finding's replacement was put in its place."""
    assert diagnostic.replacement is not None
    whole = SCHEMA + text
    new = whole[: diagnostic.span.start] + diagnostic.replacement + whole[diagnostic.span.end :]
    return new[len(SCHEMA) :]
