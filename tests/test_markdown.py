"""The summary for a pull request: what it says, and that nothing an event holds means anything in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.replay.gates import Known, gate_of, judge
from quell.replay.headline import headline
from quell.replay.library import backtest
from quell.replay.library_compare import compare
from quell.replay.markdown import LONGEST, code, fenced, markdown, text
from quell.replay.report_data import Backtest, Comparison, Sample
from tests.cli_support import EVENTS, POLICIES, make_bundle, write_events

HOSTILE = (
    "| `x` <b onclick=x>hi</b> @everyone #1 ![a](http://b.test) **x**\n## head\r\n</details> "
    "\u202eabc www.c.test"
)


def hostile(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same events with bad content."""
    return [{**e, "content": f"{e.get('content', '')} {HOSTILE}", "id": f"{e['id']}|`@a`"} for e in events]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A comparison over hostile events: one let go, one caught."""
    folder = tmp_path_factory.mktemp("markdown")
    events = write_events(folder / "events.jsonl", hostile(EVENTS))
    before = make_bundle(folder / "before")
    policies = POLICIES.replace("burst >= 3", "burst >= 4").replace("matches bad_words", 'contains "again"')
    after = make_bundle(folder / "after", policies.split("test ", 1)[0])
    with compare(before, after, events, threads=1) as result:
        return result.report


def outside_code(page: str) -> str:
    """The text without its code spans and fenced blocks."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^```sh$.*?^```$", "", page))


def test_what_it_says(made: Comparison) -> None:
    known = Known(frozenset({"flood"}), frozenset({"block"}), True, False)
    gates = [judge(gate_of(g, known), made) for g in ("new_blocks > 50%", "no_longer(flood) > 0")]
    made = msgspec.structs.replace(made, gates=gates)
    page = markdown(made, "quell replay after --events 'events.jsonl' --against before")
    assert page.startswith(
        "## ✘ Quell: what this change of policies changes\n\n**3 events of 5 (60.00%) get "
    )
    assert "| ✔ passes | `new_blocks > 50%` | new&#95;blocks is 1 (20.00% of 5 events) |" in page
    assert "| ✘ fails | `no_longer(flood) > 0` |" in page
    assert "| `allow` | 1 |  | **1** |" in page
    assert "| `flood` | condition | 2 | 1 |  | −1 |  |" in page
    assert "<summary>Newly caught: 1 of 1</summary>" in page
    assert "now: `bad_word fired: the text 'again" in page
    assert "before: `bad_word did not match" in page
    assert page.endswith(
        "```sh\nquell replay after --events 'events.jsonl' --against before\n```\n\n</details>\n"
    )


def test_nothing_in_it_means_anything(made: Comparison) -> None:
    bare = outside_code(markdown(made, "quell replay `x`"))
    for sign in ("@", "<b", "http", "www.c", "\u202e", "![", "## head", "onclick"):
        assert sign not in bare, sign
    assert set(re.findall(r"</?[a-z]+>", bare)) <= {"<details>", "</details>", "<summary>", "</summary>"}
    assert bare.count("<details>") == bare.count("</details>")


def test_tables_keep_their_columns(made: Comparison) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", markdown(made), re.MULTILINE)
    assert len(tables) >= 2
    for found in tables:
        assert len({line.count("|") for line in found.splitlines()}) == 1


def test_nothing_changes(made: Comparison) -> None:
    same = Comparison(
        made.before, made.before, [], 0, 0, 0, [], same=True, events=5, against="main (1234567)"
    )
    page = markdown(same)
    assert "**Nothing changes: 5 events are decided exactly as before.**" in page
    assert "against `main (1234567)`" in page
    assert "|" not in page


def test_it_stays_short_enough(made: Comparison) -> None:
    sample = msgspec.structs.replace(made.newly_caught[0], id="x" * 5_000, message="`" * 9_000)
    rules = [msgspec.structs.replace(made.rules[0], rule=f"rule_{i}_" + "n" * 180) for i in range(3_000)]
    huge = msgspec.structs.replace(
        made, newly_caught=[sample] * 500, rules=rules, looks_different=["`x` " + "y" * 3_000] * 100
    )
    page = markdown(huge)
    assert len(page) <= LONGEST
    assert "more rules" in page or "cut here" in page


def test_a_plain_backtest(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.jsonl", hostile(EVENTS))
    with backtest(make_bundle(tmp_path / "policies"), events, threads=1) as result:
        report: Backtest = result.report
    page = markdown(report, "quell replay policies")
    assert "**3 events of 5 (60.00%) would have had another verdict than `allow`.**" in page
    assert "| `flood` | live | 2 | 40.00% | 1 | 2 |" in page
    bare = outside_code(page)
    assert "@" not in bare
    assert "<b" not in bare


def test_headlines(made: Comparison) -> None:
    assert headline(made) == (
        "3 events of 5 (60.00%) get another verdict (1 harsher, 2 milder). "
        "1 was let through before and is not now; 2 were not let through before and are now."
    )
    shadow = msgspec.structs.replace(
        made, changed=0, differences=msgspec.structs.replace(made.differences, rules=0, messages=0, sends=0)
    )
    assert headline(shadow).startswith("No verdict changes. On ")


@given(st.text(max_size=80))
def test_any_text_is_inert(value: str) -> None:
    shown = code(value)
    assert shown.count("`") in (0, 2)
    assert "\n" not in shown
    assert "|" not in shown
    plain = text(value)
    assert not re.search(r"[<>`*|\\\[\]\n]", plain)
    assert not re.search(r"@[^\u200b]|https?:|www\.", plain, re.IGNORECASE)
    fence, command, end = fenced(value)
    assert fence == end + "sh"
    assert end not in command


def test_samples_without_reasons_show_their_message(made: Comparison) -> None:
    sample = Sample(1, "e:1", "message", "2026-01-01T00:00:00Z", "block", before="allow", message="a | b")
    page = markdown(msgspec.structs.replace(made, newly_caught=[sample]))
    assert "  - `a ¦ b`" in page
