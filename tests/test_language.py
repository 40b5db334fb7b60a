"""The language reference runs: every case, and nothing of the language without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from quell.engine.bundle import Files, read_bundle
from quell.engine.compile import Analysis, analyse, build
from quell.engine.decision import Acted, Refused, Reply
from quell.engine.event_problems import KINDS
from quell.engine.lists import KINDS as KINDS_OF_LISTS
from quell.engine.lower_rules import MODES
from quell.engine.policy_tests import run_tests
from quell.engine.stepper import Stepper
from quell.grammar import tree
from quell.grammar.codes import CODES
from quell.grammar.diagnostics import Report, plain
from quell.grammar.parser import parse, parse_expression
from quell.grammar.source import Source
from quell.signals.functions import REGISTRY
from tests import language_functions
from tests.language_cases import BundleCase, EventsCase, ValueCase, pages
from tests.language_lift import Lift, lift, with_fields

PAGES = pages()
BUNDLES = [b for p in PAGES for b in p.bundles]
EVENTS = [e for p in PAGES for e in p.events]
VALUES = [v for p in PAGES for v in p.values]
QUIET = {"unused-name", "missing-test", "silenced-by-missing", "no-target"}
"""Findings that a case need not announce: a page shows one thing at a time, and most of it goes unused."""

OF_FILES = {"unreadable-file", "bad-settings", "empty-bundle"}
"""Codes that no text of a policy can earn: shown in words, and tested below with real folders."""
BEYOND_A_PAGE = {"ahead", "too-large", "too-deep", "too-many", "not-utf8", "wrong-row", "ambiguous"}
"""Kinds of refusals that no line of a page shows; the tests of events do."""


def files_of(text: str, extra: dict[str, bytes] | None = None) -> Files:
    """A bundle of one file in memory."""
    return Files("case", {"case.quell": Source("case.quell", text)}, extra=extra or {})


@pytest.mark.parametrize("case", BUNDLES, ids=lambda c: c.name)
def test_bundles(case: BundleCase) -> None:
    files = files_of(case.text, case.files)
    analysis = analyse(files)
    source = files.sources["case.quell"]
    found = [(source.position(d.span.start).line, d.code) for d in analysis.diagnostics]
    expected = sorted(case.expected)
    loud = sorted(f for f in found if f[1] not in QUIET or f in expected)
    told = "\n".join(plain(d, files.sources) for d in analysis.diagnostics)
    assert loud == expected, f"{case.name}: announced {expected}, found\n{told}"
    if not analysis.report.errors and analysis.symbols.tests:
        report = run_tests(analysis)
        failures = [f for t in report.tests for f in t.failures]
        assert not failures, "\n".join(str(f) for f in failures)


def policy_of(case: ValueCase, made: Lift) -> str:
    """A policy whose one test passes where an expression has its value."""
    expected = "is missing" if case.value == "missing" else f"== ({case.value})"
    text = case.shared or "event moment\n  at time = $.at\n"
    event = text.split("event ", 1)[1].split()[0]
    if made.fields:
        text = with_fields(text, made.fields)
    return (
        f"{text}\nrule holds on {event}\n  when ({made.expression}) {expected}\n  then review\n"
        f'\ntest "it holds"\n  given {event} {{}}\n  expect review by holds\n'
    )


def errors_of(analysis: Analysis) -> str:
    """The errors of a bundle as text; empty where there are none."""
    return "\n".join(plain(d, analysis.files.sources) for d in analysis.diagnostics if d.severity == "error")


def analysis_of(case: ValueCase, made: Lift) -> Analysis:
    """The policy of an expression, analysed."""
    return analyse(files_of(policy_of(case, made), case.files), lints=False)


_LIFTED: dict[str, Lift] = {}


def lifted(case: ValueCase) -> Lift:
    """The expression with all the literals in fields that may stand there."""
    if case.name not in _LIFTED:
        _LIFTED[case.name] = lift(case.expression, lambda made: not errors_of(analysis_of(case, made)))
    return _LIFTED[case.name]


@pytest.mark.parametrize("case", VALUES, ids=lambda c: c.name)
def test_values(case: ValueCase) -> None:
    """Each expression has its value, as it is written and with its literals supplied by the event.

    As written, most of it is worked out when the policy is compiled; from fields the generated code does it.
    """
    as_written = Lift(case.expression, "", 0)
    for made in (as_written, lifted(case)):
        analysis = analysis_of(case, made)
        told = errors_of(analysis)
        assert not told, f"{case.name}\n{told}"
        failures = [f for t in run_tests(analysis).tests for f in t.failures]
        assert not failures, f"{case.name} as `{made.expression}`\n" + "\n".join(map(str, failures))


def test_most_values_come_from_fields() -> None:
    """An expression is left with its literals only where nothing of it can stand in a field."""
    cases = [c for c in VALUES if not c.shared]
    folded = [c.name for c in cases if not lifted(c).count]
    assert len(folded) <= len(cases) // 50, folded


@pytest.mark.parametrize("case", EVENTS, ids=lambda c: c.name)
def test_events(case: EventsCase) -> None:
    """Events are answered as the table says, each in the memory of those before it."""
    engine = Stepper(build(analyse(files_of(case.bundle.text, case.bundle.files), lints=False)))
    got = [(line, event, answer_of(engine.decide(event))) for line, event, _ in case.rows]
    assert got == list(case.rows)


def answer_of(decision: Reply) -> str:
    """An answer as a table writes it."""
    if isinstance(decision, Refused):
        return f"refused {decision.kind}"
    if isinstance(decision, Acted):
        return f"{decision.action}, {'labelled' if decision.on else 'not labelled'}"
    kinds = ", ".join(dict.fromkeys(p.kind for p in decision.problems))
    late = ", late" if decision.late else ""
    outranked = ", outranked" if decision.outranked else ""
    return decision.verdict + (f", reported {kinds}" if kinds else "") + late + outranked


def test_every_code_is_documented() -> None:
    announced = {code for case in BUNDLES if case.page == "diagnostics.md" for _, code in case.expected}
    page = next(p for p in PAGES if p.name == "diagnostics.md")
    assert sorted(set(CODES) ^ {h for h in page.headings if h in CODES or h.islower()}) == []
    assert sorted(set(CODES) - announced) == sorted(OF_FILES)
    for case in BUNDLES:
        if case.page == "diagnostics.md":
            assert case.heading in {code for _, code in case.expected}, case.name


def test_every_construct_has_a_case() -> None:
    """Every kind of node of the tree, every operator and every word occurs in some case."""
    seen: set[str] = set()
    for node in nodes():
        seen.add(type(node).__name__)
        if isinstance(node, tree.Binary | tree.Unary | tree.Word | tree.Junction):
            seen.add(f"{node.op} negated" if isinstance(node, tree.Word) and node.negated else node.op)
        elif isinstance(node, tree.Compare):
            seen.update(op for op, _ in node.rest)
        elif isinstance(node, tree.Quantified):
            seen.add(node.quantifier)
        elif isinstance(node, tree.Is):
            seen.add(f"{node.what} negated" if node.negated else node.what)
        elif isinstance(node, tree.Where):
            seen.add(f"on the {node.kind}")
        elif isinstance(node, tree.ListDecl):
            seen.add(f"as {node.kind.name}")
        elif isinstance(node, tree.Rule):
            seen.update(f"{w.name}" for w in (node.mode, node.severity) if w is not None)
    classes = {c.__name__ for c in subclasses(tree.Node)} - {"Expr", "Declaration", "Effect"}
    words = ("contains", "matches", "starts with", "ends with", "in", "labelled")
    wanted = {*classes, *words, *(f"{w} negated" for w in words), "reaches", *MODES, "high"}
    wanted |= {"+", "-", "*", "/", "//", "%", "??", "not", "and", "or", "==", "!=", "<", "<=", ">", ">="}
    wanted |= {"any", "all", "none", "missing", "present", "missing negated"}
    wanted |= {"on the first", "on the last", *(f"as {kind}" for kind in KINDS_OF_LISTS)}
    assert sorted(wanted - seen) == []


def subclasses(cls: type[tree.Node]) -> Iterator[type[tree.Node]]:
    """All classes made from one."""
    for inner in cls.__subclasses__():
        yield inner
        yield from subclasses(inner)


def nodes() -> Iterator[tree.Node]:
    """Every node of every case that can be read."""
    for case in BUNDLES:
        for declaration in parse(Source("case.quell", case.text), Report()).declarations:
            yield from tree.walk(declaration)
    for value in VALUES:
        expression = parse_expression(value.expression)
        if expression is not None:
            yield from tree.walk(expression)


def test_every_kind_of_refusal_is_documented() -> None:
    text = next(p for p in PAGES if p.name == "05-events.md").text
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", text.split("## What is refused")[1], re.M))
    assert {k: v for k, v in rows.items() if k in KINDS} == KINDS
    shown = {row[2].split()[-1] for case in EVENTS for row in case.rows}
    assert sorted(set(KINDS) - shown) == sorted(BEYOND_A_PAGE)


def test_every_function_is_documented_with_an_example() -> None:
    page = next(p for p in PAGES if p.name == "functions.md")
    headings = {h.strip("`") for h in page.headings}
    assert sorted(set(REGISTRY.names()) - headings) == []
    assert [r.name for r in REGISTRY.rows() if not r.examples and not r.form] == []
    assert sorted(language_functions.CASES) == sorted(language_functions.forms())


def test_the_page_of_functions_is_current() -> None:
    written = language_functions.PAGE.read_text(encoding="utf-8")
    assert written == language_functions.page(), "run python -m tests.language_functions"


def test_the_index_names_every_page() -> None:
    index = next(p for p in PAGES if p.name == "README.md").text
    assert [p.name for p in PAGES if p.name != "README.md" and f"({p.name})" not in index] == []


def test_links_between_pages_lead_somewhere() -> None:
    places = {p.name: {anchor(h) for h in p.headings} for p in PAGES}
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.text)):
            name, _, place = target.partition("#")
            if name not in places or (place and place not in places[name]):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def anchor(heading: str) -> str:
    """The name under which a heading is linked to, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def prose(text: str) -> str:
    """A page without its blocks and its code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


# ------------------------------------------------------------- codes of files


def findings(folder: Path) -> list[tuple[str, str]]:
    """The codes and messages of what is wrong with a folder."""
    report = Report()
    analyse(read_bundle(folder, report), report, lints=False)
    return [(d.code, d.message) for d in report.sorted()]


def folder_of(tmp_path: Path, **files: bytes) -> Path:
    """A bundle on disk that is sound but for the files given; `_` in their names stands for a dot."""
    (tmp_path / "schema.quell").write_text('event ping from "ping"\n  at time = $.at\n', encoding="utf-8")
    for name, data in files.items():
        (tmp_path / name.replace("_", ".")).write_bytes(data)
    return tmp_path


def test_unreadable_file(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, rules_quell="# caf\u00e9\n".encode("latin-1"), picture_quell=b"# a\0b\n")
    assert findings(folder) == [
        ("unreadable-file", "`picture.quell` holds a zero byte, so it is not a text file"),
        ("unreadable-file", "`rules.quell` is not UTF-8 text (byte 5)"),
    ]


def test_outside_bundle(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, lists_quell=b'list known from "known.txt" as exact\n')
    outside = tmp_path.parent / "elsewhere.txt"
    outside.write_text("secret\n", encoding="utf-8")
    (folder / "known.txt").symlink_to(outside)
    assert [code for code, _ in findings(folder)] == ["outside-bundle"]


def test_bad_settings(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, quell_toml=b'[events]\ntyp = "$.kind"\n')
    assert findings(folder) == [("bad-settings", "[events] has no setting `typ`")]
    (folder / "quell.toml").write_text("[events\n", encoding="utf-8")
    assert [code for code, _ in findings(folder)] == ["bad-settings"]


def test_empty_bundle(tmp_path: Path) -> None:
    assert findings(tmp_path) == [("empty-bundle", f"`{tmp_path}` has no policy files")]
    assert [code for code, _ in findings(tmp_path / "nowhere")] == ["empty-bundle"]


def test_names_used_twice_over_and_over_are_worked_out_once() -> None:
    """Forty lets, each of which uses the one before twice, inside a counter too."""
    lets = "".join(f"let n{i} = n{i - 1} + n{i - 1}\n" for i in range(1, 40))
    text = (
        f'event ping from "ping"\n  at time = $.at\n  n0 number = $.n\n{lets}'
        "rule r on ping\n  when count(ping within 1h where n39 > 2) > 3\n  then flag\n"
    )
    assert errors_of(analyse(files_of(text), lints=False)) == ""
