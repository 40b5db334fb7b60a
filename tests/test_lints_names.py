"""Names that nothing uses."""

from __future__ import annotations

from quell.engine.bundle import Files
from quell.engine.compile import analyse
from quell.grammar.source import Source
from tests.lint_bundle import places, said

RULE = "rule r on message when {} then block\n"


def unused(text: str, files: dict[str, bytes] | None = None) -> list[str]:
    """The names told of, but for the labels and the entity that the schema of these tests brings along."""
    return [p for p in places(text, "unused-name", files=files) if p not in ('"spammer"', '"trusted"')]


def test_lets() -> None:
    assert unused("let a = risk > 5\n") == ["a"]
    assert unused("let a = risk > 5\n" + RULE.format("a")) == []
    assert unused("let a = risk > 5\nlet b = a and flag\n" + RULE.format("b")) == []


def test_a_let_that_only_an_unused_one_uses() -> None:
    text = "let a = risk > 5\nlet b = a and flag\n"
    assert [d.message for d in said(text, "unused-name") if "let" in d.message] == [
        "the let `a` is used only by names that nothing uses",
        "nothing uses the let `b`",
    ]


def test_uses_in_every_place_count() -> None:
    text = """\
let in_where = risk > 1
let in_key = "{content} {channel}"
let in_reason = length(content)
let in_payload = length(channel)
let in_score = risk > 2
let in_limit = lower(channel)
let in_filter = lower(content)
let in_test = risk + 1
let in_reading = lower(content)
let called(x: text) = length(x) > 5
list names from "names.txt" as words
list rows from "rows.csv" as exact gives weight number
score danger
  5 when in_score
rule r on message
  when count(message by in_key as in_reading within 1h where in_where) > 3
   and size([m of mentions where m == in_filter]) > 1 and called(content)
   and content matches names and (rows[channel].weight ?? 0) > 1
  then send "queue" { what: "{in_payload}" } limit 1 per in_limit every 1h
  because "{in_reason} and {reasons(danger)}"
test "t"
  given message {}
  expect value in_test == 2
"""
    assert unused(text, {"names.txt": b"a\n", "rows.csv": b"key,weight\na,1\n"}) == []


def test_a_rule_that_is_off_still_uses_its_names() -> None:
    assert unused("let a = risk > 5\nrule r on message when a then block mode off\n") == []


def test_lists_scores_shapes_and_entities() -> None:
    text = """\
entity Device
shape spare
  z  text = $.z
list l from "l.txt" as words
score s
  5 when flag
"""
    assert unused(text, {"l.txt": b"a\n"}) == ["Device", "spare", "l", "s"]


def test_shapes_and_entities_that_events_use() -> None:
    text = """\
entity Device
entity Place
shape item
  device  Device = $.device
shape common
  where   Place = $.where
event order from "order" with common
  at     time       = $.at
  items  list<item> = $.items
"""
    assert unused(text) == []


def test_an_entity_made_in_a_condition_is_used() -> None:
    text = 'entity Pair\nlet p = Pair("{content}")\n'
    assert unused(text + RULE.format("count(message by p within 1h) > 3")) == []


def test_parameters_and_elements() -> None:
    text = "let f(x: text, y: number) = length(x) > 5\n" + RULE.format("f(content, 3)")
    assert unused(text) == ["y"]
    text = RULE.format("size([m of mentions where risk > 3]) > 1")
    assert unused(text) == ["m"]
    assert unused(RULE.format("size([m of mentions where m == author]) > 1")) == []


def test_labels() -> None:
    def labels(text: str) -> list[str]:
        return [p for p in places(text, "unused-name") if p in ('"spammer"', '"trusted"')]

    assert labels(RULE.format("flag")) == ['"spammer"', '"trusted"']
    assert labels(RULE.format('author labelled "trusted"')) == ['"spammer"']
    assert labels('rule r on message when flag then label author "spammer"\n') == ['"trusted"']
    assert labels('rule r on message when flag then unlabel author "spammer"\n') == ['"trusted"']
    assert labels('rule r on message when flag then label author "spammer" mode off\n') == ['"trusted"']
    assert labels('rule r on message when flag then flag because "{label_age(author, "spammer")}"\n') == [
        '"trusted"'
    ]
    test = 'test "t"\n  given label "spammer" on User "u"\n  given message {}\n'
    assert labels(RULE.format("flag") + test + '  expect label "trusted" on User "u"\n') == []


def test_labels_of_two_kinds_are_told_apart() -> None:
    text = 'entity Device labels "spammer"\n'
    text += 'event ping from "ping"\n  at time = $.at\n  device Device = $.device\n'
    text += RULE.format('author labelled "spammer" and author labelled "trusted"')
    (found,) = [d for d in said(text, "unused-name") if "label" in d.message]
    assert found.message == 'nothing sets or looks at the label "spammer" of `Device`'


def test_fields_may_be_more_than_are_used() -> None:
    assert not {"channel", "joined", "mentions", "server"} & set(unused(RULE.format("flag")))


def test_nothing_is_called_unused_where_a_declaration_could_not_be_read() -> None:
    for broken in (
        "rule s on message when a and\n",
        "let a = risk > 6\n",
        'rule s on message when a == "\\q" then flag\n',
    ):
        text = "let a = risk > 5\n" + broken
        assert places(text, "unused-name", errors=True) == []
    assert "a" in places(
        "let a = risk > 5\nrule s on message when nobody then flag\n", "unused-name", errors=True
    )


def test_an_empty_bundle() -> None:
    analysis = analyse(Files("bundle", {"a.quell": Source("a.quell", "")}))
    assert analysis.diagnostics == []
