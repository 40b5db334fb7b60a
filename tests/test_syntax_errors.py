"""What analysts are told about mistakes. `mistakes.txt` holds each policy with what is said of it.

After a message was changed on purpose, `python -m tests.test_syntax_errors` writes the file anew, so that
the difference can be reviewed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from quell.grammar.codes import CODES
from quell.grammar.diagnostics import Report
from quell.grammar.parser import parse
from quell.grammar.render import lines
from quell.grammar.source import Source

GOLDEN = Path(__file__).with_name("mistakes.txt")
_BETWEEN = "=" * 80 + "\n"


def _said(policy: str) -> str:
    """Every finding in `policy`, as a terminal of 100 columns shows it without colour."""
    source = Source("p", policy)
    report = Report()
    parse(source, report)
    return "\n".join(line.plain.rstrip() for d in report.sorted() for line in lines(d, {"p": source}, 100))


def _cases() -> list[tuple[str, str]]:
    cases = []
    for case in GOLDEN.read_text(encoding="utf-8").split(_BETWEEN):
        policy, _, said = case.strip("\n").partition("\n\n")
        cases.append((policy, said))
    return cases


@pytest.mark.parametrize(("policy", "said"), _cases(), ids=range(len(_cases())))
def test_a_mistake_is_explained(policy: str, said: str) -> None:
    assert _said(policy) == said


def test_each_mistake_is_told_with_something_to_try() -> None:
    silent = []
    for policy, _ in _cases():
        report = Report()
        parse(Source("p", policy), report)
        assert report.errors, policy
        assert {d.code for d in report.found} <= set(CODES)
        silent += [policy for d in report.found if not d.hint]
    assert silent == []


def test_replacements_mend_what_they_can() -> None:
    """What is offered as a replacement gives, put in its place, a policy without that error."""
    mended = 0
    for policy, _ in _cases():
        report = Report()
        parse(Source("p", policy), report)
        for found in report.found:
            if found.replacement is None:
                continue
            better = policy[: found.span.start] + found.replacement + policy[found.span.end :]
            again = Report()
            parse(Source("p", better), again)
            assert all(d.message != found.message or d.span.start > found.span.start for d in again.found), (
                better
            )
            mended += not again.found
    assert mended >= 25


if __name__ == "__main__":
    text = _BETWEEN.join(f"{policy}\n\n{_said(policy)}\n" for policy, _ in _cases())
    GOLDEN.write_text(text, encoding="utf-8")
