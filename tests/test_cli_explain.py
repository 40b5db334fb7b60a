"""`quell explain` and `quell graph`: which event, what is shown of it, and pictures that parse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from quell.engine.stepper import Stepper
from tests.cli_support import EVENTS, POLICIES, make_bundle, run, write_events


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write_events(tmp_path / "events.jsonl")


def explained(*args: str | Path) -> dict[str, Any]:
    done = run("explain", *args, "--json")
    assert done.exit_code == 0, done.stderr
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def values(data: dict[str, Any]) -> dict[str, Any]:
    return {v["name"]: v["value"] for v in data["values"]}


# --------------------------------------------------------------------------------- which event


def test_an_event_of_a_history_is_explained_as_it_was_decided(bundle: Path, events: Path) -> None:
    decisions = run("decide", bundle, "--events", events, "--out", "-").stdout.splitlines()
    for number, event in enumerate(EVENTS):
        if event["id"] in ("m4", "m7"):  # refused
            continue
        data = explained(bundle, "--events", events, "--event", event["id"])
        assert data["decision"] == json.loads(decisions[number])


def test_state_is_that_of_the_events_before(bundle: Path, events: Path, tmp_path: Path) -> None:
    third = explained(bundle, "--events", events, "--event", "m5")
    assert third["decision"]["verdict"] == "challenge"
    assert values(third)["burst"] == 3
    (tmp_path / "one.json").write_text(json.dumps(EVENTS[4]), encoding="utf-8")
    alone = explained(bundle, "--event", tmp_path / "one.json")
    assert alone["decision"]["verdict"] == "allow"
    assert values(alone)["burst"] == 1
    after = explained(bundle, "--event", tmp_path / "one.json", "--events", events)
    assert values(after)["burst"] == 5  # the four of the history within the minute, and itself


def test_an_event_from_standard_input(bundle: Path) -> None:
    done = run("explain", bundle, "--event", "-", "--json", stdin=json.dumps(EVENTS[1]))
    assert json.loads(done.stdout)["decision"]["verdict"] == "block"


def test_an_event_by_its_place(bundle: Path, events: Path) -> None:
    assert explained(bundle, "--events", events, "--event", "events.jsonl:2")["decision"]["id"] == "m2"


def test_a_refused_event_says_why(bundle: Path, events: Path) -> None:
    for how in ((), ("--json",)):
        done = run("explain", bundle, "--events", events, "--event", "events.jsonl:4", *how)
        assert done.exit_code == 3
        assert "yesterday" in done.output


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (("--event", "m1"), 3, "name its history with --events"),
        (("--event", "zz", "--events", "EVENTS"), 3, "no event of `"),
        (("--event", "EVENTS"), 3, "holds more than one event"),
        (("--event", "m1", "--events", "gone.jsonl"), 3, "there is no file"),
        (("--event", "m1", "--rule", "flod"), 2, "did you mean `flood`?"),
        (("--event", "m1", "--event-type", "message"), 2, "belongs to `--source`"),
        (("--source", "--event", "m1"), 2, "either `--event` or `--source`"),
        (("--source", "--event-type", "mesage"), 2, "did you mean `message`?"),
    ],
)
def test_what_cannot_be_explained(
    bundle: Path, events: Path, args: tuple[str, ...], status: int, said: str
) -> None:
    done = run("explain", bundle, *(str(events) if a == "EVENTS" else a for a in args))
    assert done.exit_code == status
    assert said in done.stderr
    assert done.stdout == ""


# -------------------------------------------------------------------------------- what is shown


def test_the_explanation_names_what_decided(bundle: Path, events: Path) -> None:
    shown = run("explain", bundle, "--events", events, "--event", "m5").stdout
    assert shown.startswith("message m5 at 2026-01-01T00:00:30Z: challenge")
    for part in ("flood", "burst >= 3", "burst = 3", "3 messages within 1m: third", "bad_word", '"third"'):
        assert part in shown, part
    one = run("explain", bundle, "--events", events, "--event", "m5", "--rule", "bad_word").stdout
    assert "content matches bad_words" in one
    assert "burst >= 3" not in one


def test_a_counter_is_known_by_the_same_identity_everywhere(bundle: Path, events: Path) -> None:
    shown = run("explain", bundle, "--events", events, "--event", "m5").stdout
    (known,) = re.findall(r"count\(message by author within 1m\)\s+#([0-9a-f]{8})", shown)
    assert known in run("graph", bundle).stdout


def test_the_source_is_the_function_that_decides(bundle: Path) -> None:
    shown = run("explain", bundle, "--source").stdout
    program = Stepper.load(bundle).bundle.programs["message"].program
    assert shown == program.source.rstrip("\n") + "\n"
    compile(shown, "source", "exec")
    assert run("explain", bundle, "--source", "--event-type", "message").stdout == shown
    assert json.loads(run("explain", bundle, "--source", "--json").stdout) == {"message": program.source}


# ------------------------------------------------------------------------------------- pictures

HOSTILE = """entity User labels "a \\"b\\" ]|> {{x}} #; \\\\ <br/>"

event message from "message"
  id text = $.id
  at time = $.at
  author User = $.author
  `end` text = $.end default ""

let `graph` = length(`end`)

rule `subgraph` on message
  when `graph` > 3 and `end` != "--> n1[x] \\"quoted\\" & </script> `tick`"
  then label author "a \\"b\\" ]|> {{x}} #; \\\\ <br/>"
       send "sink ] \\" %% {{"

rule `style` on message
  when `graph` > 3 and count(fired `subgraph` by author within 1d) >= 2
  then flag
"""

DOT_NODE = re.compile(
    r'^ +(n\d+) \[label="(?:[^"\\]|\\.)*", shape=\w+, fillcolor="#\w{6}"(, peripheries=2)?\];$'
)
DOT_ARROW = re.compile(r'^  (n\d+) -> (n\d+)( \[(label="(?:[^"\\]|\\.)*")?(, )?(style=dashed)?\])?;$')
MERMAID_NODE = re.compile(
    r'^ +(n\d+)(\(\[|\[\(|\[/|>|\[\[|\[|\(|\{\{)"([^"]*)"(\]\)|\)\]|/\]|\]|\]\]|\)|\}\}):::(\w+)$'
)
MERMAID_ARROW = re.compile(r'^  (n\d+) (?:-->|-\.->)(?:\|"([^"]*)"\|)? (n\d+)$')
MERMAID_TEXT = re.compile(r"(?:[\w _.,:()=+\-/…×−]|#\d+;|<br/>)*")


def check_dot(text: str) -> tuple[set[str], set[tuple[str, str]]]:
    """The nodes and arrows of a DOT text in which every line is one of those that are written."""
    lines = text.splitlines()
    assert re.fullmatch(r'digraph "(?:[^"\\]|\\.)*" \{', lines[0])
    assert lines[-1] == "}"
    nodes, arrows, depth = set(), set(), 0
    for line in lines[1:-1]:
        if node := DOT_NODE.fullmatch(line):
            assert node[1] not in nodes, "a node stands twice"
            nodes.add(node[1])
        elif arrow := DOT_ARROW.fullmatch(line):
            arrows.add((arrow[1], arrow[2]))
        elif re.fullmatch(r"  subgraph cluster_\d+ \{", line):
            depth += 1
        elif line == "  }":
            depth -= 1
        else:
            assert re.fullmatch(
                r'  +(rankdir=LR|newrank=true|label="(?:[^"\\]|\\.)*"|color="#\w+"|(node|edge) \[[^\]]*\]);',
                line,
            ), line
        assert depth in (0, 1)
    assert depth == 0
    assert {end for arrow in arrows for end in arrow} <= nodes
    return nodes, arrows


def check_mermaid(text: str) -> tuple[set[str], set[tuple[str, str]]]:
    """The same for a Mermaid flowchart."""
    lines = text.splitlines()
    assert lines[0] == "flowchart LR"
    nodes, arrows, depth = set(), set(), 0
    classes, defined = set(), set()
    for line in lines[1:]:
        if node := MERMAID_NODE.fullmatch(line):
            assert node[1] not in nodes, "a node stands twice"
            assert MERMAID_TEXT.fullmatch(node[3]), node[3]
            nodes.add(node[1])
            classes.add(node[5])
        elif arrow := MERMAID_ARROW.fullmatch(line):
            assert MERMAID_TEXT.fullmatch(arrow[2] or "")
            arrows.add((arrow[1], arrow[3]))
        elif re.fullmatch(r'  subgraph e_n\d+\["[^"]*"\]', line):
            depth += 1
        elif line == "  end":
            depth -= 1
        else:
            made = re.fullmatch(r"  classDef (\w+) fill:#\w+,stroke:#\w+,color:#\w+", line)
            assert made, line
            defined.add(made[1])
        assert depth in (0, 1)
    assert depth == 0
    assert classes == defined
    assert {end for arrow in arrows for end in arrow} <= nodes
    return nodes, arrows


@pytest.mark.parametrize("detail", ["names", "conditions", "all"])
@pytest.mark.parametrize("policies", ["plain", "hostile", "starter"])
def test_pictures_parse_and_agree(tmp_path: Path, policies: str, detail: str) -> None:
    folder = tmp_path / "b"
    if policies == "starter":
        run("init", folder)
    else:
        make_bundle(folder, POLICIES if policies == "plain" else HOSTILE)
    drawn = [run("graph", folder, "--detail", detail, "--format", f) for f in ("mermaid", "dot")]
    assert [d.exit_code for d in drawn] == [0, 0], drawn[0].output
    nodes, arrows = check_mermaid(drawn[0].stdout)
    assert check_dot(drawn[1].stdout) == (nodes, arrows)
    assert len(nodes) > 5
    assert len(arrows) >= 5


def labels(text: str) -> dict[str, str]:
    """Nodes of a Mermaid text by their first line."""
    found = (MERMAID_NODE.fullmatch(line) for line in text.splitlines())
    return {node[3].split("<br/>")[0]: node[1] for node in found if node}


def test_rules_are_sinks_and_what_they_share_stands_once(bundle: Path) -> None:
    text = run("graph", bundle).stdout
    named, (nodes, arrows) = labels(text), check_mermaid(text)
    assert {"flood", "bad_word", "shouting (shadow)", "burst", "content: text", "list bad_words"} <= set(
        named
    )
    starts = {start for start, _ in arrows}
    ends = {end for _, end in arrows}
    for rule in ("flood", "bad_word", "shouting (shadow)"):
        assert named[rule] not in starts
        assert named[rule] in ends
    assert {n for n in nodes if n not in ends} >= {named["content: text"], named["author: User"]}
    counter = named["count(message by author)"]
    assert (named["author: User"], counter) in arrows
    assert (counter, named["burst"]) in arrows
    assert (named["burst"], named["flood"]) in arrows
    identity = next(iter(Stepper.load(bundle).bundle.analysis.lowerer.stores))
    assert f"#35;{identity[:8]}" in text
    assert '-->|"within 1m"|' in text
    assert len(nodes) == len(named), "each shape has a text of its own here"


def test_one_rule_is_drawn_alone(bundle: Path) -> None:
    text = run("graph", bundle, "--rule", "bad_word").stdout
    assert "bad_word" in labels(text)
    assert "flood" not in labels(text)
    assert "burst" not in labels(text)
    assert run("graph", bundle, "--event", "message").stdout == run("graph", bundle).stdout


def test_a_picture_in_a_file(bundle: Path, tmp_path: Path) -> None:
    done = run("graph", bundle, "--format", "dot", "--out", tmp_path / "g.dot")
    assert (done.exit_code, done.stdout) == (0, "")
    check_dot((tmp_path / "g.dot").read_text(encoding="utf-8"))
    assert run("graph", bundle, "--out", tmp_path / "gone" / "g.dot").exit_code == 3


@pytest.mark.parametrize("args", [("--rule", "flod"), ("--event", "mesage"), ("--format", "png")])
def test_what_cannot_be_drawn(bundle: Path, args: tuple[str, ...]) -> None:
    assert run("graph", bundle, *args).exit_code == 2


def test_an_event_is_explained_as_after_a_state(bundle: Path, tmp_path: Path) -> None:
    said = {"type": "message", "author": "u7", "content": "hello"}
    told = [{**said, "id": f"{i}", "at": f"2026-01-01T12:00:0{i}Z"} for i in range(3)]
    first = write_events(tmp_path / "first.jsonl", told[:2])
    last, state = tmp_path / "last.json", tmp_path / "state"
    last.write_text(json.dumps(told[2]), encoding="utf-8")
    assert run("decide", bundle, "--events", first, "--state", state).exit_code == 0
    before = state.read_bytes()
    after = explained(bundle, "--event", last, "--state", state)
    assert after["decision"]["verdict"] == "challenge"
    assert explained(bundle, "--event", last)["decision"]["verdict"] == "allow"
    assert state.read_bytes() == before
    done = run("explain", bundle, "--event", last, "--state", tmp_path / "none")
    assert done.exit_code == 3
    assert "there is no state in" in done.output
