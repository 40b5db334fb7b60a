"""Two bundles on one history: the figures are those of a naive comparison, decision by decision."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quell.engine.bundle import Files
from quell.engine.compile import Analysis, analyse, build
from quell.engine.decision import Decision
from quell.engine.symbols import Ladder
from quell.grammar.source import Source
from quell.replay.backtest_report import Asked
from quell.replay.compare_run import Pair, read_alike
from quell.replay.compare_written import written
from quell.replay.comparing import direction, merged
from quell.replay.report_data import Comparison
from quell.replay.run import RunWay
from tests.bundles import sound
from tests.cli_support import EVENTS, POLICIES, write_events
from tests.comparing import Naive, compared, decide, judge
from tests.strategies_policy import Case, cases

LISTS = {"lists/bad_words.txt": "grobbler\n"}


def differences(comparison: Comparison) -> dict[str, int]:
    """The figures by what differs."""
    made = comparison.differences
    return {f: getattr(made, f) for f in made.__struct_fields__}


def check(before: Analysis, after: Analysis, events: Path, way: RunWay = "columns") -> Comparison:
    """Compare two bundles, and hold the figures against the naive judge's."""
    old, new = build(before), build(after)
    found = judge(decide(old, events), decide(new, events), written(old, new))
    made = compared(old, new, events, way)
    assert made.before.timeline.starts == made.after.timeline.starts
    assert {(f.before, f.after): f.count for f in made.flows} == dict(found.flows)
    assert differences(made) == found.kinds
    assert (made.newly_refused, made.no_longer_refused) == (found.newly_refused, found.no_longer_refused)
    assert made.changed == sum(n for (a, b), n in found.flows.items() if a != b)
    check_rules(made, found)
    return made


def check_rules(made: Comparison, found: Naive) -> None:
    rules = {r.rule: r for r in made.rules}
    for rule in found.before.keys() | found.after.keys():
        counts = (found.before[rule], found.after[rule], found.newly[rule], found.no_longer[rule])
        if rule in rules:
            r = rules[rule]
            assert (r.before, r.after, r.newly, r.no_longer) == counts, rule
            assert r.after - r.before == r.newly - r.no_longer == sum(r.over_time)
        else:
            assert counts[2:] == (0, 0), rule


def bundle(text: str = POLICIES, lists: dict[str, str] | None = None) -> Analysis:
    return sound(text, LISTS if lists is None else lists)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write_events(tmp_path / "events.jsonl")


def empty(made: Comparison) -> bool:
    """Whether a comparison says that there is nothing to say."""
    said = (made.rules, made.counters, made.newly_caught, made.newly_let_go, made.looks_different, made.notes)
    counts = (made.changed, made.harsher, made.milder, made.caught, made.let_go, made.newly_refused)
    return (
        made.same
        and not any(said)
        and not any(counts)
        and not any(differences(made).values())
        and all(f.before == f.after for f in made.flows)
    )


def test_the_same_bundle_against_itself_is_empty(events: Path) -> None:
    made = check(bundle(), bundle(), events)
    assert empty(made)
    assert {f.before: f.count for f in made.flows} == {"allow": 2, "challenge": 2, "block": 1}
    assert made.events == 5


def test_a_threshold(events: Path) -> None:
    made = check(bundle(), bundle(POLICIES.replace("burst >= 3", "burst >= 4")), events)
    assert (made.changed, made.harsher, made.milder, made.caught, made.let_go) == (1, 0, 1, 0, 1)
    rule = made.rules[0]
    assert (rule.rule, rule.status, rule.changed) == ("flood", "changed", ["condition"])
    assert [s.place for s in rule.samples_no_longer] == ["events.jsonl:5"]
    assert [(s.before, s.verdict) for s in made.newly_let_go] == [("challenge", "allow")]
    assert not made.same


def test_a_list_that_a_condition_reads(events: Path) -> None:
    made = check(bundle(), bundle(lists={"lists/bad_words.txt": "grobbler\nhello\n"}), events)
    assert [(r.rule, r.changed, r.newly) for r in made.rules] == [("bad_word", ["condition"], 1)]
    assert [(s.before, s.verdict) for s in made.newly_caught] == [("allow", "block")]


def test_a_rename_by_formerly_decides_the_same_under_another_name(events: Path) -> None:
    new = POLICIES.replace("rule flood on", "rule burst_of_messages on")
    new = new.replace('{content}"\n\nrule bad', '{content}"\n  formerly flood\n\nrule bad')
    new = new.replace("by flood", "by burst_of_messages")
    made = check(bundle(), bundle(new), events)
    assert made.changed == 0
    assert differences(made) == dict.fromkeys(differences(made), 0) | {"events": 2, "names": 2}
    assert [(r.rule, r.was, r.status, r.newly) for r in made.rules] == [
        ("burst_of_messages", "flood", "renamed", 0)
    ]
    assert "the rule `flood` is called `burst_of_messages` now" in made.looks_different
    back = check(bundle(new), bundle(), events)
    assert [(r.rule, r.was) for r in back.rules] == [("flood", "burst_of_messages")]


def test_shadow_to_live_and_back(events: Path) -> None:
    loud = [{**e, "content": "LOUD AND LONGER THAN TWENTY"} if e["id"] != "m2" else e for e in EVENTS]
    write_events(events, loud)
    live = POLICIES.replace("  mode shadow\n", "")
    made = check(bundle(), bundle(live), events)
    rule = next(r for r in made.rules if r.rule == "shouting")
    assert (rule.changed, rule.mode_before, rule.mode_after) == (["mode"], "shadow", "live")
    assert (rule.before, rule.after) == (0, 4)
    assert made.differences.shadow == made.differences.newly_hit == 4
    wider = POLICIES.replace("> 70%", ">= 0%").replace("> 20", "> 5")
    made = check(bundle(), bundle(wider), events)
    assert [(r.rule, r.newly) for r in made.rules] == [("shouting", 1)]
    assert made.differences.rules == 0


def test_new_gone_and_off(events: Path) -> None:
    off = POLICIES.replace("  mode shadow", "  mode off")
    extra = POLICIES + '\nrule hello on message\n  when content == "hello"\n  then review\n'
    made = check(bundle(off), bundle(extra), events)
    assert {r.rule: (r.status, r.mode_before, r.mode_after) for r in made.rules} == {
        "hello": ("new", "", "live"),
        "shouting": ("changed", "off", "shadow"),
    }
    back = check(bundle(extra), bundle(off), events)
    assert {r.rule: r.status for r in back.rules} == {"hello": "gone", "shouting": "changed"}
    assert back.let_go == 1


def test_events_that_only_one_bundle_takes(events: Path) -> None:
    strict = POLICIES.replace(' default ""', "")
    made = check(bundle(), bundle(strict), events)
    assert (made.newly_refused, made.no_longer_refused, made.events) == (1, 0, 4)
    assert made.differences.refused == 1
    back = check(bundle(strict), bundle(), events)
    assert (back.newly_refused, back.no_longer_refused) == (0, 1)


def test_where_and_how_it_is_written_is_no_difference(events: Path) -> None:
    head, *rest = POLICIES.split("\n\n")
    moved = {"a.quell": "\n\n".join(rest[::-1]) + "\n", "b/c.quell": head.replace("  ", "   ") + "\n"}
    moved["a.quell"] = moved["a.quell"].replace("burst >= 3", "(burst   >= 3)")
    sources = {name: Source(name, text) for name, text in moved.items()}
    other = analyse(Files("written", sources, extra={n: t.encode() for n, t in LISTS.items()}), lints=False)
    made = check(bundle(), other, events)
    assert made.looks_different == ["the files are laid out otherwise, or differ in what no rule reads"]
    made.looks_different = []
    assert empty(made)


def test_what_only_looks_different(events: Path) -> None:
    new = POLICIES.replace("# Three messages", "# Four messages").replace("burst", "how_many")
    new = new.replace("has a bad word", "holds a bad word").replace(
        "then flag\n", 'then flag\n  owner "x"\n  tag "t"\n'
    )
    made = check(bundle(), bundle(new), events)
    assert made.looks_different == [
        "`burst` is called `how_many` now",
        "`bad_word`: the message is written otherwise",
        "`shouting`: the owner is written otherwise",
        "`shouting`: the tags are written otherwise",
        "`flood`: the comment is written otherwise",
    ]
    assert [(r.rule, r.changed) for r in made.rules] == [("bad_word", ["message"]), ("shouting", [])]
    assert (made.changed, made.differences.messages, made.same) == (0, 1, False)


def test_counters(events: Path) -> None:
    more = POLICIES.replace("within 1m)", "within 5m)") + (
        "\nrule x on message\n"
        "  when count(message by content within 1h) > 2 and sum(score of message ever) > 9\n"
    )
    made = check(bundle(), bundle(more), events)
    assert [(c.counter, c.status, c.window, c.cold) for c in made.counters] == [
        ("count(message by content)", "new", "1h", "1h"),
        ("sum(`score` of `message`)", "new", "ever", "always"),
        ("count(message by author)", "longer", "5m", "5m"),
    ]
    back = check(bundle(more), bundle(), events)
    assert [(c.status, c.cold) for c in back.counters] == [("gone", ""), ("gone", "")]


LADDERS = POLICIES.split("test ", 1)[0]


def test_a_verdict_that_one_ladder_lacks(events: Path) -> None:
    head = "verdicts pass < warn < block on failure pass\n\n"
    new = head + LADDERS.replace("then challenge", "then warn").replace("then flag", "then warn")
    made = check(bundle(), bundle(new), events)
    assert {(f.before, f.after): f.count for f in made.flows} == {
        ("allow", "pass"): 2,
        ("challenge", "warn"): 2,
        ("block", "block"): 1,
    }
    assert (made.changed, made.harsher, made.milder, made.caught, made.let_go) == (4, 0, 0, 0, 0)
    assert made.ladder == ["allow", "flag", "review", "challenge", "pass", "warn", "block"]
    assert len(made.notes) == 1
    assert "`challenge` and `warn`" in made.notes[0]


# ------------------------------------------------------------------------------- generated


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated")


def written_down(case: Case, folder: Path) -> Path:
    path = folder / "events.jsonl"
    path.write_bytes(b"".join(e.replace(b"\n", b" ") + b"\n" for e in case.events))
    return path


def usable(analysis: Analysis, events: Path) -> bool:
    """Whether a history has an event that the bundle takes."""
    return any(isinstance(reply, Decision) for reply in decide(build(analysis), events))


EXAMPLES = min(15, settings.default.max_examples) if settings.default is not None else 15


WAYS: st.SearchStrategy[RunWay] = st.sampled_from(("columns", "steps"))


@given(data=st.data())
@settings(max_examples=EXAMPLES)
def test_a_generated_bundle_against_itself_is_empty(data: st.DataObject, folder: Path) -> None:
    case = data.draw(cases("any"))
    events = written_down(case, folder)
    one, other = analyse(case.files(), lints=False), analyse(case.files(), lints=False)
    assume(usable(one, events))
    assert empty(check(one, other, events, data.draw(WAYS)))


@given(data=st.data())
@settings(max_examples=EXAMPLES)
def test_generated_changes(data: st.DataObject, folder: Path) -> None:
    case = data.draw(cases(data.draw(st.sampled_from(("any", "state", "counters")))))
    events = written_down(case, folder)
    before, after = analyse(case.files(), lints=False), analyse(altered(case, data).files(), lints=False)
    assume(not after.report.errors and usable(before, events) and usable(after, events))
    check(before, after, events, data.draw(WAYS))


def altered(case: Case, data: st.DataObject) -> Case:
    """The bundle with one rule left out, renamed, in another mode, or with other numbers."""
    rules = [i for i, d in enumerate(case.declarations) if d.startswith("rule ")]
    place = data.draw(st.sampled_from(rules))
    text = case.declarations[place]
    name = text.split("\n", 1)[0].split(" on ")[0].removeprefix("rule ")
    how = data.draw(st.sampled_from(("gone", "renamed", "mode", "numbers")))
    mode = data.draw(st.sampled_from(("live", "shadow", "off")))
    plain = re.sub(r"\n  mode \w+", "", text)
    changed = {
        "gone": [],
        "renamed": [text.replace(f"rule {name} ", "rule another_name ", 1) + f"\n  formerly {name}"],
        "mode": [f"{plain}\n  mode {mode}"],
        "numbers": [re.sub(r"(?<=[ (])[0-9]+(?=[ )\n])", lambda m: str(int(m[0]) + 1), text)],
    }[how]
    return Case(
        [*case.declarations[:place], *changed, *case.declarations[place + 1 :]], case.extra, case.events
    )


def test_the_lesser_parts() -> None:
    one, other = Ladder(("a", "b", "c"), "a"), Ladder(("x", "y"), "x")
    assert direction(one, one, "a", "c") == 1
    assert direction(one, one, "c", "b") == -1
    assert direction(one, other, "a", "y") == 1
    assert direction(one, other, "b", "x") == -1
    assert direction(one, other, "a", "x") == 0
    assert direction(one, other, "b", "y") is None
    assert direction(Ladder(("a", "b"), "a"), Ladder(("b", "a"), "b"), "a", "b") == -1, (
        "the ladder of now rules"
    )
    assert merged(["a", "b", "c"], ["a", "c", "d"]) == ["a", "b", "c", "d"]
    assert merged(["z", "a"], ["a"]) == ["z", "a"]


def test_tables_read_in_two_ways_are_joined_event_by_event(tmp_path: Path) -> None:
    """A Parquet file that one bundle may leave to SQL and the other, which reads more, may not."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [{**e, "tags": ["a", str(i)]} for i, e in enumerate(EVENTS * 3) if e["id"] != "m4"]
    path = tmp_path / "events.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    more = POLICIES.replace(
        "  score number? = $.score\n", "  score number? = $.score\n  tags list<text> = $.tags\n"
    )
    new = more.replace("when burst >= 3", 'when burst >= 3 and "4" not in tags')
    made = check(bundle(), bundle(new), path)
    assert {r.rule for r in made.rules} == {"flood"}
    assert made.newly_let_go


def test_the_library_reads_once_where_both_read_alike() -> None:
    asked = Asked()
    alike = Pair.of(build(bundle()), build(bundle(POLICIES.replace("burst >= 3", "burst >= 4"))), asked, "b")
    assert read_alike(alike)
    for other in (
        POLICIES.replace("(score ?? 1) > 0", "true"),  # decodes another field
        POLICIES.replace(' default ""', ' default "x"'),
        POLICIES.replace("score number?", "other text? = $.other\n  score number?"),
    ):
        assert not read_alike(Pair.of(build(bundle()), build(bundle(other.split("test ")[0])), asked, "b"))
