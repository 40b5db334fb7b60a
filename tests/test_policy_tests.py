"""The runner of the tests that stand beside the rules, and the check of what they say."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest

from quell.engine.bundle import read_bundle
from quell.engine.compile import analyse
from quell.engine.policy_test_report import Failure, TestReport, TestResult
from quell.engine.policy_tests import run_tests
from quell.engine.policy_tests_view import print_report
from quell.grammar.diagnostics import PolicyError, Report
from tests.bundles import files, findings
from tests.conftest import ROOT

HEAD = """
entity User labels "trusted", "spammer"
entity Server

shape person
  id   User  = $.id
  name text? = $.name
  rank number = $.rank  default 7

event message from "message"
  id       text        = $.id
  at       time        = $.at
  author   User        = $.author
  joined   time?       = $.joined
  server   Server      = $.server
  content  text        = $.content  default ""
  links    number      = $.links
  spoiler  bool        = $.spoiler
  length_  duration    = $.length
  address  ip          = $.address
  kind     one of ["plain", "reply"] = $.kind
  mentions list<User>  = $.mentions[*]
  people   list<person> = $.people  default []

event report from "report" when $.version == 2
  id       number      = $.id
  at       time        = $.at
  target   User        = $.target
  version  number      = $.version

let age      = at - joined
let newcomer = age < 7d
let sent_1m  = count(message by author within 1m)
score risk
  40 when newcomer because "new"
  30 when sent_1m >= 3

rule flood on message
  when newcomer and sent_1m >= 3
  then block
       label author "spammer" for 1h
       send "queue" { count: sent_1m, at: at } limit 1 per author every 1h
  because "{sent_1m} messages"
  rollout 10% by author
rule risky on message when risk >= 70 then review
rule trusted_ on message when author labelled "trusted" then exempt from flood
rule quiet on message when links > 2 then challenge because "{links} links" mode shadow
rule asleep on message when links > 0 then block mode off
rule reported on report when target == "u9" then flag
"""


def run(*tests: str, head: str = HEAD) -> TestReport:
    text = head + "".join(f'test "{i}"\n  {t}\n' for i, t in enumerate(tests))
    return run_tests(files(text))


def outcome(*steps: str, head: str = HEAD) -> TestResult:
    (made,) = run("\n  ".join(steps), head=head).tests
    return made


def passes(*steps: str, head: str = HEAD) -> None:
    made = outcome(*steps, head=head)
    assert made.outcome == "passed", [f.happened for f in made.failures]


def failure(*steps: str, head: str = HEAD) -> Failure:
    made = outcome(*steps, head=head)
    assert made.outcome == "failed", "it passed"
    return made.failures[0]


BURST = 'given message { author: "u1", joined: now - 1d } repeat 3 every 5s'


# ------------------------------------------------------------- what steps mean


def test_unwritten_fields_are_neutral_and_written_ones_are_what_they_are() -> None:
    passes(
        "given message {}",
        'expect value author == "author" and server == "server" and content == ""',
        "expect value links == 0 and not spoiler and length_ == 0s",
        'expect value address == "192.0.2.1" and kind == "plain" and size(mentions) == 0',
        "expect value joined is missing and size(people) == 0",
        'expect value at == time("2026-01-01T12:00:00Z") and at == now',
    )
    passes(
        'given message { author: "u1", joined: now - 2d, links: 3, spoiler: true, length_: 1m30s, '
        'address: "::1", kind: "reply", mentions: ["a", "b"], at: "2026-01-02T00:00:00Z" }',
        'expect value author == "u1" and joined == now - 2d and links == 3 and spoiler',
        'expect value length_ == 90s and address == "::1" and kind == "reply" and size(mentions) == 2',
        'expect value at == now + 12h and content == ""',
    )


def test_records_in_lists_have_their_own_neutral_values() -> None:
    passes(
        'given message { people: [{ id: "p1" }, { name: "Ada", rank: 1 }] }',
        'expect value size([p of people where p.id == "p1" and p.name is missing and p.rank == 7]) == 1',
        'expect value size([p of people where p.id == "id" and p.name == "Ada" and p.rank == 1]) == 1',
    )


def test_ids_differ_from_event_to_event() -> None:
    passes(
        "given message {} repeat 4",
        "expect value seen == 4",
        "given report {} repeat 2",
        "expect value id == 6 and version == 2",
        head=HEAD + "let seen = distinct(id of message within 1h)\n",
    )


def test_the_clock_moves_with_after_and_between_repeats() -> None:
    passes(
        'given message { author: "u1" } repeat 3 every 10s',
        'expect value sent_1m == 1 and at == time("2026-01-01T12:00:00Z") on the first',
        "expect value sent_1m == 3 on the last",
        'given message { author: "u1" } after 50s',
        'expect value sent_1m == 2 and at == time("2026-01-01T12:01:10Z")',
        'given message { author: "u1", joined: now - 1h } after 1h',
        "expect value sent_1m == 1 and age == 1h and now == at",
    )


def test_a_written_time_leaves_the_clock_alone() -> None:
    passes(
        'given message { author: "u1", at: now - 1h }',
        "expect value at == now - 1h",
        'given message { author: "u1" }',
        'expect value at == time("2026-01-01T12:00:00Z") and sent_1m == 1',
    )


def test_every_test_has_a_memory_of_its_own() -> None:
    report = run(
        f"{BURST}\n  expect block", f'{BURST}\n  expect value sent_1m == 3\n  expect send "queue" once'
    )
    assert (report.passed, report.failed, report.events) == (2, 0, 6)


def test_rollouts_are_complete() -> None:
    passes(BURST, "expect block by flood", 'expect label "spammer" on User "u1"', 'expect send "queue" once')
    passes('given message { author: "u7", joined: now - 1d } repeat 3', "expect block by flood")


def test_places_count_the_events_of_the_given_above() -> None:
    passes(
        'given message { author: "u0" } repeat 2',
        BURST,
        "expect allow on the first",
        "expect not fired flood on event 2",
        "expect block on event 3",
        "expect block on the last",
        "expect block",
    )


def test_labels_given_and_set_hold_until_they_end() -> None:
    passes(
        'given label "trusted" on User "u1" for 1m',
        'expect label "trusted" on User "u1"',
        BURST,
        "expect not fired flood",
        "expect not block",
        'given message { author: "u2" } after 2m',
        'expect not label "trusted" on User "u1"',
    )
    passes(
        BURST,
        'expect not label "spammer" on User "u1" on event 2',
        'expect label "spammer" on User "u1" on event 3',
        'given message { author: "u2" } after 1h',
        'expect not label "spammer" on User "u1"',
    )


def test_sends_are_counted_so_far_or_at_one_event() -> None:
    passes(
        'given message { author: "u1", joined: now - 1d } repeat 5 every 1s',
        'expect send "queue"',
        'expect send "queue" once',
        'expect send "queue" on event 3',
        'expect not send "queue" on the last',
        'expect send "queue" never on the first',
        'given message { author: "u2", joined: now - 1d } repeat 3 every 1s',
        'expect send "queue" 2 times',
        'expect not send "queue" once',
    )


def test_a_shadow_rule_fires_and_asks_for_nothing() -> None:
    passes(
        "given message { links: 3 }",
        "expect fired quiet",
        "expect allow",
        "expect not challenge by quiet",
        'expect message "3 links" by quiet',
    )
    wrong = failure("given message { links: 3 }", "expect challenge by quiet")
    assert wrong.happened == "the verdict is allow; quiet fired in shadow, so it asks for nothing"


def test_messages_may_hold_expressions() -> None:
    passes(
        BURST,
        'expect message "3 messages" by flood',
        'expect message "{sent_1m} messages" by flood',
        'expect not message "4 messages" by flood',
    )
    wrong = failure(BURST, 'expect message "4 messages" by flood')
    assert wrong.happened == 'the message is "3 messages"'


def test_a_test_of_a_rule_that_is_off_is_skipped() -> None:
    made = outcome("given message { links: 1 }", "expect block by asleep")
    assert (made.outcome, made.why) == ("skipped", "`asleep` is off")
    report = run("given message {}\n  expect fired asleep", "given message {}\n  expect allow")
    assert (report.passed, report.failed, report.skipped, report.ok) == (1, 0, 1, True)


def test_names_are_supplied_for_the_events_that_say_so() -> None:
    passes(
        'given message { author: "u1" } with newcomer = true, sent_1m = 5',
        "expect block by flood",
        "expect value newcomer and sent_1m == 5 and risk == 70",
        'given message { author: "u1", joined: now - 1d }',
        "expect value newcomer and sent_1m == 2 and risk == 40",
        "expect allow",
        'given message { author: "u1", joined: now - 1d } with newcomer = missing',
        "expect value newcomer is missing",
        "given message {} with risk = 70.5, age = now - (now - 3d)",
        "expect review by risky",
        "expect value age == 3d and newcomer",
    )


def test_supplied_names_count_as_they_were_supplied() -> None:
    passes(
        "given message {} with newcomer = true",
        "given message {} with newcomer = true",
        "given message { joined: now - 1h } with newcomer = false",
        "expect value newcomers == 2",
        head=HEAD + "let newcomers = count(message within 1h where newcomer)\n",
    )


def test_a_value_may_hold_counters_that_no_rule_reads() -> None:
    passes(
        'given message { author: "u1", content: "a" } repeat 3 every 1s',
        "expect value count(message by content within 2s) == 2",
        "expect value count(message by content within 2s) == 1 on the first",
    )


def test_not_value_wants_it_false() -> None:
    passes('given message { author: "u1", joined: now - 30d }', "expect not value newcomer")
    wrong = failure("given message {}", "expect not value newcomer")
    assert wrong.happened == "it is missing, since the event has no `joined`"


# --------------------------------------------------------------- what is told


def test_a_failure_says_what_happened_and_shows_the_values_that_matter() -> None:
    wrong = failure('given message { author: "u1", joined: now - 30d } repeat 3', "expect block by flood")
    assert wrong.expected == "expect block by flood"
    assert wrong.happened == "the verdict is allow; flood did not match: newcomer is false (age = 30d)"
    assert (wrong.file, wrong.number, wrong.event) == ("p.quell", 3, "message")
    assert wrong.line == HEAD.count("\n") + 3
    shown = {v.name: v.shown for v in wrong.values}
    assert shown == {
        "at": "2026-01-01T12:00:00Z",
        "author": '"u1"',
        "joined": "2025-12-02T12:00:00Z",
        "newcomer": "false",
        "age": "30d",
        "sent_1m": "3",
    }
    assert [r.rule for r in wrong.rules] == ["flood"]
    assert wrong.decision is not None
    assert wrong.decision.verdict == "allow"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([BURST, "expect allow"], "the verdict is block by flood"),
        ([BURST, "expect not block"], "the verdict is block by flood"),
        ([BURST, "expect not fired flood"], "flood fired and asked for block"),
        (
            [BURST, "expect review by risky"],
            "the verdict is block by flood; risky fired and asked for review",
        ),
        (
            ["given message {}", "expect block"],
            "the verdict is allow; flood did not match: sent_1m >= 3 is false (sent_1m = 1)",
        ),
        (
            ['given label "trusted" on User "u1"', BURST, "expect fired flood"],
            "flood matched, and is held back: exempt by trusted_",
        ),
        (
            ["given message {} repeat 3", 'expect label "spammer" on User "author"'],
            (
                'User "author" does not carry "spammer"; flood did not match: newcomer is missing, '
                "since the event has no `joined`"
            ),
        ),
        (
            [BURST, 'expect not label "spammer" on User "u1"'],
            'User "u1" carries "spammer"',
        ),
        (
            ['given message { author: "u1", joined: now - 1d } repeat 4', 'expect send "queue" 2 times'],
            (
                'one thing was sent to "queue" so far; flood fired and asked for block, send "queue" '
                "{ count: sent_1m, at: at } limit 1 per author every 1h was not done: "
                "the limit of 1 every 1h is used up"
            ),
        ),
        ([BURST, 'expect not send "queue"'], 'one thing was sent to "queue" so far'),
        (
            [BURST, "expect value risk == 40"],
            "it is false: risk = 70 (+40 newcomer, +30 sent_1m >= 3)",
        ),
        ([BURST, "expect value newcomer and sent_1m == 2"], "it is false: age = 1d, sent_1m = 3"),
        (["given message {}", "expect value age > 1d"], "it is missing, since the event has no `joined`"),
    ],
)
def test_what_happened_is_told(steps: list[str], told: str) -> None:
    assert failure(*steps).happened == told


def test_all_failures_are_told_each_with_its_own_event() -> None:
    made = outcome(
        'given message { author: "u1", joined: now - 1d } repeat 2 every 5s',
        "expect block on the first",
        "expect review",
        'given message { author: "u1", joined: now - 1d } after 5s',
        "expect allow",
        "expect block by flood",
    )
    assert [(f.number, f.expected) for f in made.failures] == [
        (1, "expect block on the first"),
        (2, "expect review"),
        (3, "expect allow"),
    ]
    assert [f.at[-9:] for f in made.failures] == ["12:00:00Z", "12:00:05Z", "12:00:10Z"]
    assert (made.events, made.expectations) == (3, 4)


def test_an_event_that_is_refused_fails_the_test() -> None:
    wrong = failure("given message { at: now + 100000d * 40 }", "expect allow")
    assert wrong.expected == "given message { at: now + 100000d * 40 }"
    assert wrong.happened.startswith("event 1 was refused: `message` refused: `at`")


def test_results_are_plain_data_and_the_same_each_time() -> None:
    first, second = (
        msgspec.json.encode(
            run(f"{BURST}\n  expect allow\n  expect value risk == 1", f"{BURST}\n  expect block")
        )
        for _ in range(2)
    )
    assert first == second
    made = msgspec.json.decode(first)
    assert (made["passed"], made["failed"]) == (1, 1)
    assert made["tests"][0]["failures"][1]["condition"]["state"] == "false"


def test_only_the_chosen_tests_run() -> None:
    text = HEAD + f'test "a"\n  {BURST}\n  expect block\ntest "b"\n  {BURST}\n  expect allow\n'
    report = run_tests(files(text), lambda test: test.title.plain == "b")
    assert [(t.title, t.outcome) for t in report.tests] == [("b", "failed")]


def test_a_bundle_with_errors_is_not_tested() -> None:
    with pytest.raises(PolicyError, match="nothing is called `nosuch`"):
        run_tests(files(HEAD + "rule x on message when nosuch then block\n"))


def test_the_report_on_a_terminal() -> None:
    report = run(
        'given message { author: "u1", joined: now - 30d }\n  expect block by flood',
        "given message {}\n  expect allow",
        "given message {}\n  expect fired asleep",
    )
    stream = io.StringIO()
    print_report(report, stream, full=True)
    text = stream.getvalue()
    for told in (
        "expect block by flood",
        "the verdict is allow; flood did not match",
        "age 30d at - joined",
        "newcomer = age < 7d",
        "skipped: `asleep` is off",
        "1 test passed, 1 failed, 1 skipped (2 events)",
    ):
        assert told in " ".join(text.split())


def test_the_starter_bundles_own_tests_pass() -> None:
    report = Report()
    made = run_tests(analyse(read_bundle(ROOT / "policies", report), report, lints=False))
    assert [(t.title, [f.happened for f in t.failures]) for t in made.tests if t.failures] == []
    assert made.passed > 50


# ------------------------------------------------------------------ the check

WRONG: list[tuple[str, str]] = [
    ("given mesage {}\n  expect allow", "unknown-event: `mesage` is no event (did you mean `message`?)"),
    ("given person {}\n  expect allow", "unknown-event: `person` is a shape, and a test gives events"),
    (
        'given message { autor: "u1" }\n  expect allow',
        "unknown-field: `message` has no field `autor` (did you mean `author`?)",
    ),
    (
        "given message { links: 1, links: 2 }\n  expect allow",
        "bad-test: `links` stands twice in this record",
    ),
    (
        'given message { links: "1" }\n  expect allow',
        'type-mismatch: `links` is a number, and this is "1"',
    ),
    (
        "given message { author: 12 }\n  expect allow",
        "type-mismatch: `author` is a User, and this is a number (put it in quotes)",
    ),
    (
        'given message { author: Server("s") }\n  expect allow',
        "type-mismatch: `author` is a User, and this is a Server",
    ),
    (
        "given message { joined: 2d }\n  expect allow",
        (
            "type-mismatch: `joined` is a time, and this is a duration "
            '(write now, now - 2d or "2026-01-31T12:00:00Z")'
        ),
    ),
    (
        'given message { joined: "yesterday" }\n  expect allow',
        (
            'type-mismatch: `joined` is a time, and this is "yesterday" '
            '(write now, now - 2d or "2026-01-31T12:00:00Z")'
        ),
    ),
    (
        'given message { kind: "plane" }\n  expect allow',
        'type-mismatch: `kind` is a one of ["plain", "reply"], and this is "plane" (did you mean `plain`?)',
    ),
    (
        'given message { address: "1.2.3" }\n  expect allow',
        'type-mismatch: `address` is a ip, and this is "1.2.3" (write an address such as "192.0.2.1")',
    ),
    (
        'given message { mentions: "a" }\n  expect allow',
        'type-mismatch: `mentions` is a list<User>, and this is "a" (write a list such as [ … ])',
    ),
    (
        "given message { mentions: [1] }\n  expect allow",
        "type-mismatch: `mentions` is a User, and this is a number (put it in quotes)",
    ),
    (
        'given message { people: [{ nam: "x" }] }\n  expect allow',
        "unknown-field: `person` has no field `nam` (did you mean `name`?)",
    ),
    (
        "given message { content: {} }\n  expect allow",
        "type-mismatch: `content` is a text, not a record",
    ),
    (
        "given message { links: missing }\n  expect allow",
        (
            "type-mismatch: `links` is required, and without it no rule sees the event "
            "(leave it out for a neutral value)"
        ),
    ),
    (
        "given message { content: author }\n  expect allow",
        (
            "bad-test: a value in a test is written out, and `author` is known only on an event "
            '(for text write "author")'
        ),
    ),
    (
        "given message { links: sent_1m + 1 }\n  expect allow",
        (
            "bad-test: a value in a test is written out, and this is known only on an event "
            "(only `now` may stand in it)"
        ),
    ),
    ("given message { author: u1 }\n  expect allow", "unknown-name: nothing is called `u1`"),
    (
        "given report { version: 3 }\n  expect allow",
        "bad-test: an event whose `version` is not 2 is no `report` (leave the field out)",
    ),
    (
        "given message {} after 0s - 5s\n  expect allow",
        (
            "bad-window: what follows `after` must be no less than nothing and at most 3660d "
            "(a clock runs forwards; for a late event give its `at`, such as now - 1h)"
        ),
    ),
    (
        "given message {} repeat 3 every 5\n  expect allow",
        (
            "type-mismatch: what follows `every` must be a duration, and this is a number "
            "(write a duration such as 10m)"
        ),
    ),
    (
        "given message {} repeat 60000\n  given message {} repeat 60000\n  expect allow",
        "bad-test: a test may give 100,000 events, and this makes 120,000 (repeat fewer times)",
    ),
    (
        "given message {} repeat 5000 every 3000d\n  expect allow",
        "bad-test: the clock of this test runs past the year 9999",
    ),
    (
        "given message {} with links = 3\n  expect allow",
        "bad-test: `links` is a field of `message` (write it in the record: { links: … })",
    ),
    (
        "given message {} with newcommer = true\n  expect allow",
        "unknown-name: no let, score or model is called `newcommer` (did you mean `newcomer`?)",
    ),
    (
        "given message {} with newcomer = 3\n  expect allow",
        "type-mismatch: `newcomer` is a bool, and this is a number",
    ),
    (
        "given message {} with newcomer = true, newcomer = false\n  expect allow",
        "bad-test: `newcomer` is supplied twice",
    ),
    (
        "given report {} with newcomer = true\n  expect allow",
        "not-on-event: `report` has no field `joined` (it is a field of `message`)",
    ),
    (
        'given label "spamer" on User "u1"\n  given message {}\n  expect allow',
        'unknown-label: `User` has no label "spamer" (did you mean `spammer`?)',
    ),
    (
        'given label "spammer" on Usr "u1"\n  given message {}\n  expect allow',
        "unknown-type: there is no entity `Usr` (did you mean `User`?)",
    ),
    (
        'given label "spammer" on User "u1" for 0s\n  given message {}\n  expect allow',
        "bad-window: how long a label lasts must be longer than nothing and at most 3660d",
    ),
    ("expect allow", "bad-test: no event was given before this (write given … above it)"),
    ("given message {}", "bad-test: this test expects nothing, so it cannot fail (write expect …)"),
    (
        "given message {}\n  expect blok",
        "unknown-verdict: there is no verdict `blok` for `message` (did you mean `block`?)",
    ),
    (
        "given message {}\n  expect fired flod",
        "unknown-rule: there is no rule `flod` (did you mean `flood`?)",
    ),
    (
        "given message {}\n  expect fired reported",
        "not-on-event: `reported` is not on `message`, so it says nothing of it (it is on `report`)",
    ),
    (
        "given message {}\n  expect block by risky",
        "bad-test: `risky` never asks for `block` (it asks for review)",
    ),
    (
        "given message {}\n  expect flag by trusted_",
        "bad-test: `trusted_` never asks for `flag` (write expect fired trusted_)",
    ),
    (
        'given message {}\n  expect message "x" by risky',
        "bad-test: `risky` has no message",
    ),
    (
        'given message {}\n  expect send "que"',
        'unknown-word: no rule sends anything to "que" (did you mean `queue`?)',
    ),
    (
        'given message {}\n  expect label "trustd" on User "u1"',
        'unknown-label: `User` has no label "trustd" (did you mean `trusted`?)',
    ),
    (
        "given message {}\n  expect value sent_1m",
        "not-a-condition: what follows `value` is a number, not a condition (compare it, such as > 0)",
    ),
    (
        "given message {}\n  expect value sent_2m == 1",
        "unknown-name: nothing is called `sent_2m` (did you mean `sent_1m`?)",
    ),
    (
        "given message {}\n  expect allow on event 2",
        (
            "bad-test: the step above makes one event, so there is no event 2 "
            "(events are counted from 1, from the last `given` on)"
        ),
    ),
]


@pytest.mark.parametrize(("steps", "told"), WRONG, ids=[told for _, told in WRONG])
def test_what_is_wrong_with_a_test_is_told_when_the_bundle_is_checked(steps: str, told: str) -> None:
    found = findings(HEAD + f'test "t"\n  {steps}\n')
    assert found == [told]


def test_a_name_that_must_be_what_it_is_cannot_be_supplied() -> None:
    text = HEAD + 'rule r on message when sent_1m reaches 3 then flag\ntest "t"\n'
    (found,) = findings(text + "  given message {} with sent_1m = 3\n  expect allow\n")
    assert found == (
        "bad-test: `sent_1m` cannot be supplied by a test: only a count, a distinct or a sum reaches a "
        "number (supply a value that is made from it, or give events that lead to it)"
    )


def test_a_broken_let_is_told_once_and_not_again_by_the_tests_that_look_at_it() -> None:
    text = HEAD + "let a = b\nlet b = a\n"
    more = 'test "t"\n  given message {}\n  expect value b == 1\n  expect value bb == 1\n'
    assert findings(text + more) == [*findings(text), "unknown-name: nothing is called `bb`"]


def test_a_function_that_a_test_misuses_is_told_at_the_test() -> None:
    text = HEAD + "let f(x: text) = x == content\n"
    (found,) = findings(text + 'test "t"\n  given message {}\n  expect value f(missing)\n')
    assert found.startswith("type-mismatch: nothing equals `missing`")


def test_now_is_known_in_tests_only() -> None:
    (found,) = findings(HEAD + "rule r on message when at < now then flag\n")
    assert found.startswith("unknown-name: nothing is called `now`")


def test_checking_tests_leaves_the_counters_as_they_are() -> None:
    more = 'test "t"\n  given message {}\n  expect value count(message by author within 9d) == 1\n'
    plain, checked = (analyse(files(text), lints=False) for text in (HEAD, HEAD + more))
    found: list[Any] = [
        {k: (s.longest, s.oldest) for k, s in a.lowerer.stores.items()} for a in (plain, checked)
    ]
    assert found[0] == found[1]
