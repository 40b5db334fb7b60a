"""Reports for the tests of the page: small ones, one whose every text is hostile, and a very large one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import msgspec

from quell.engine.decision import Decision, Fired
from quell.engine.explanation import EffectResult, Explanation, FieldValue, Part, RuleResult, Value
from quell.replay.quality import wilson
from quell.replay.report_data import (
    Backtest,
    Comparison,
    CounterChange,
    Curve,
    CurvePoint,
    Differences,
    FieldCoverage,
    Flow,
    Gate,
    Labelled,
    Near,
    Overlap,
    Quality,
    Rate,
    RefusedKind,
    RuleChange,
    RuleRow,
    Sample,
    Source,
    Timeline,
    VerdictRow,
    Warmup,
    Way,
)

HOSTILE = (
    "</script><script>window.hacked = 1</script><!--<img src=x onerror='window.hacked=1'>\"'&amp; "
    "\u202eturned\u2028next\u2029\x00\x1b[31m\n`tick \ud83d "
)
"""What an event may hold, a lone surrogate too."""
VERDICTS = ("allow", "flag", "review", "block")
BUCKETS = 24


def rate(hits: int, of: int) -> Rate:
    """A rate with its interval."""
    low, high = wilson(hits, of)
    return Rate(hits, of, hits / of if of else None, low, high)


def quality(right: int, wrong: int, missed: int) -> Quality:
    """The quality of something among 1,000 events that are fine."""
    precision, recall = rate(right, right + wrong), rate(right, right + missed)
    return Quality(right, wrong, 3, missed, 1000 - wrong, precision, recall, rate(wrong, 1000))


def explanation(text: str, rule: str, matched: bool = True) -> dict[str, Any]:
    """Why a rule with two parts matched, or why it did not."""
    state: Literal["true", "false"] = "true" if matched else "false"
    counter = Part("messages_1m", "let", 12, "12", note='under "u1"')
    parts = [
        Part("messages_1m >= 10", "compare", matched, state, state=state, role="decided", parts=[counter]),
        Part('author labelled "spammer"', "compare", None, "missing", state="missing", role="not needed"),
    ]
    whole = Part(
        'messages_1m >= 10 or author labelled "spammer"', "or", matched, state, state=state, parts=parts
    )
    effects = [
        EffectResult("verdict", "block", True),
        EffectResult("send", 'send "queue"', False, why="the limit"),
    ]
    outcome: Literal["fired", "not matched"] = "fired" if matched else "not matched"
    result = RuleResult(rule, outcome, "a.quell:1:1", whole, because=text, effects=effects if matched else [])
    decision = Decision("message", 7, 0, "block" if matched else "allow", fired=(Fired(rule, "block", text),))
    fields = [
        FieldValue("content", "text", text, text),
        FieldValue("ip", "ip?", None, "missing", why="absent"),
    ]
    values = [Value("messages_1m", 12, "12", "count(message by author within 1m)", "a.quell:2:1")]
    built: dict[str, Any] = msgspec.to_builtins(
        Explanation(decision, "2026-03-02T06:00:00Z", fields, [result], values)
    )
    return built


def sample(n: int, rule: str, text: str, before: str | None = None) -> Sample:
    """One event; with `before`, as a comparison has it."""
    return Sample(
        n,
        f"day.jsonl:{n}",
        "message",
        "2026-03-02T06:00:00.123Z",
        "block",
        f"id{n}",
        f'User "u{n}"',
        text,
        (rule,),
        n % 3 == 0 if n % 5 else None,
        f"quell explain policies --event id{n}",
        explanation(text, rule),
        before,
        explanation(text, rule, matched=False) if before else None,
    )


def rule(i: int, text: str, samples: int = 2) -> RuleRow:
    """The rule with this number: the higher, the fewer hits."""
    name = f"rule_number_{i}_with_a_long_name"
    fired = max(0, 900 - 37 * i)
    over_time = [fired // BUCKETS + (fired % (b + 2)) for b in range(BUCKETS)]
    return RuleRow(
        name,
        "shadow" if i % 7 == 3 else "live",
        f"a.quell:{i + 1}",
        20_000,
        fired,
        fired / 20_000,
        i % 4,
        fired // 3,
        fired // 5,
        None if i % 3 else 4,
        0.1,
        over_time,
        "block" if i % 2 else "review",
        ["spam", text],
        "integrity",
        "high",
        text,
        f"rule {name} on message\n  when {text}\n  then block",
        i % 2 == 0,
        None,
        quality(fired // 2, fired // 9, 40),
        [sample(100 * i + s, name, text) for s in range(samples)],
    )


def backtest(text: str = "12 messages within 1m", rules: int = 6, samples: int = 2) -> Backtest:
    """A day of 20,000 events; `text` stands wherever events or policies may put one."""
    rows = [rule(i, text, samples) for i in range(rules)]
    names = [r.rule for r in rows]
    overlaps = [Overlap(a, b, 40, 0.5, 0.25) for a, b in pairwise(names)]
    points = [CurvePoint(float(v), 900 // v, 90 // v, quality(400 // v, v, 40)) for v in range(4, 16)]
    counts = (18_000, 400, 600, 1_000)
    verdicts = [
        VerdictRow(
            v,
            n,
            n / 20_000,
            [n // BUCKETS] * BUCKETS,
            None,
            quality(n // 2, n // 50, 99) if v != "allow" else None,
        )
        for v, n in zip(VERDICTS, counts, strict=True)
    ]
    source = Source(
        [f"{text}.jsonl"],
        20_003,
        20_000,
        {"message": 20_000},
        2,
        3,
        5,
        "time",
        4,
        [RefusedKind("missing-field", 3, [("day.jsonl:9", text)])],
        [
            FieldCoverage("message", f"field_{i}", "text?", 1_000 * i, 20_000, i % 2, i % 3 > 0)
            for i in range(21)
        ],
        "2026-03-02T00:00:03Z",
        "2026-03-02T23:59:58Z",
    )
    starts = [f"2026-03-02T{hour:02d}:00:00Z" for hour in range(BUCKETS)]
    return Backtest(
        "policies",
        f"policies/{text}",
        "0123456789abcdef",
        source,
        Timeline(starts, 3600, [800] * BUCKETS),
        verdicts,
        rows,
        overlaps,
        Warmup("1d", 300, False, "2026-03-02T05:00:00Z"),
        [Way(text, "sql", text), Way("a", "stepped", "b")],
        1.5,
        20_000,
        names[-1:],
        {"queue": 12},
        {"User spammer": 7},
        Labelled(text, 500, 900, 18_600),
        None,
        [Curve(names[0], "messages_1m >= 10", "a.quell:1", 10.0, points)],
        {},
        [f"`usual_1h` was never full: {text}"],
        missed=7,
        samples_missed=[_missed(8_000 + i, names[0], text) for i in range(samples)],
    )


def _missed(n: int, rule: str, text: str) -> Sample:
    """A positive that was let through."""
    near = (Near(rule, "not matched", 1, 2, (text,)), Near(rule, "held", why=(text,)), Near(rule, "shadow"))
    reasons = explanation(text, rule, matched=False)
    return msgspec.structs.replace(
        sample(n, rule, text), verdict="allow", rules=(), label=True, explanation=reasons, near=near
    )


def comparison(text: str = "12 messages within 1m", rules: int = 6, samples: int = 2) -> Comparison:
    """A change of the same day."""
    before, after = backtest(text, rules, 0), backtest(text, rules, 0)
    moves = {("allow", "block"): 30, ("block", "allow"): 12, ("review", "block"): 5}
    flows = [Flow(v, v, n) for v, n in zip(VERDICTS, (17_970, 400, 595, 988), strict=True)]
    flows += [Flow(a, b, n) for (a, b), n in moves.items()]
    changes = [_change(r, i, text, samples) for i, r in enumerate(after.rules)]
    return Comparison(
        before,
        after,
        flows,
        47,
        35,
        12,
        changes,
        [CounterChange("count(message)", "new", "1m", text)],
        [sample(9_000 + i, changes[0].rule, text, "allow") for i in range(3)],
        [sample(9_500 + i, changes[0].rule, text, "block") for i in range(3)],
        [f"`a_rule` has another message: {text}"],
        [Gate("new_blocks > 0.1%", 0.0015, True, "0.15%"), Gate(text, None, False, text)],
        events=20_000,
        caught=30,
        let_go=12,
        ladder=list(VERDICTS),
        against=f"main ({text})",
        notes=[text],
        differences=Differences(events=60, verdict=47, rules=50, labels=9),
    )


def _change(row: RuleRow, i: int, text: str, samples: int) -> RuleChange:
    statuses: tuple[Literal["changed", "new", "gone", "renamed", "same"], ...]
    statuses = ("changed", "new", "gone", "renamed", "same")
    status = statuses[i % 5]
    newly, gone = (40 // (i + 1), 20 // (i + 1)) if i < 4 else (0, 0)
    return RuleChange(
        row.rule,
        status,
        row.fired - newly,
        row.fired,
        newly,
        gone,
        newly,
        "old_name" if status == "renamed" else None,
        ["condition"] if status == "changed" else [],
        [newly - b for b in range(BUCKETS)],
        row.quality,
        row.quality,
        [sample(5_000 + 100 * i + s, row.rule, text, "allow") for s in range(samples)],
        [],
    )
