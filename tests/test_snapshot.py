"""Snapshots: a history in two halves is decided as in one, whatever happens to the file in between."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import as_file, files
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine import Acted, Decision, Stepper
from quell.engine import snapshot as module
from quell.engine.carry import Section, carry, restore, sections
from quell.engine.compile import Build, build
from quell.engine.snapshot import SnapshotError, has_snapshot, previous_of, read_snapshot, write_snapshot
from quell.replay.simulate import simulate
from quell.signals.clock import Clock
from quell.signals.state import State
from tests.bundles import sound
from tests.cli_support import make_bundle, run
from tests.strategies_policy import cases
from tests.test_generated import compiled

NOON = 1_767_268_800_000_000
SECOND = 1_000_000
POLICY = """
entity User labels "spammer", "trusted"
event message from "message"
  id text = $.id
  at time = $.at
  author User = $.author
  content text = $.content
let burst = count(message by author within 1m)
let texts = distinct(content of message by author within 1h)
rule fast on message
  when burst >= 3
  then label author "spammer" for 10m
       send "queue" { n: burst, texts: texts } limit 2 per author every 1m
rule seen on message
  when author labelled "spammer" and count(fired fast by author ever) > 1
  then review
"""


@pytest.fixture(scope="module")
def bundle() -> Build:
    return build(sound(POLICY))


def message(second: float, author: str = "u1", content: str = "a") -> dict[str, Any]:
    at = NOON + round(second * SECOND)
    return {"type": "message", "id": "1", "at": at, "author": author, "content": content}


def used(bundle: Build, events: int = 8, start: int = 0) -> Stepper:
    """A stepper that remembers a little of everything."""
    stepper = Stepper(bundle)
    for n in range(start, start + events):
        stepper.decide(message(n * 5, "u1" if n % 4 else "ü2", "ab"[n % 2]))
    stepper.label("User", "u3", "trusted", at=NOON, by="ana", for_="1d", why="known")
    return stepper


def through_msgpack(told: Iterator[Section]) -> Iterator[Section]:
    for section in told:
        yield msgspec.msgpack.decode(msgspec.msgpack.encode(section))


# ------------------------------------------------------------------ in halves


@pytest.mark.parametrize("focus", ["any", "values", "state"])
@given(data=st.data())
@settings(max_examples=100)
def test_generated_histories_in_two_halves_are_decided_as_in_one(focus: str, data: st.DataObject) -> None:
    case = data.draw(cases(focus))
    made = build(compiled(case))
    cut = data.draw(st.integers(0, len(case.events)))
    whole = Stepper(made)
    expected = [whole.decide(event) for event in case.events]
    first = Stepper(made)
    got = [first.decide(event) for event in case.events[:cut]]
    if data.draw(st.booleans()):
        second = Stepper(made)
        report = restore(second, through_msgpack(sections(first)))
    else:
        second, report = carry(first, made)
    assert (report.cold, report.longer, report.dropped) == ((), (), ())
    got += [second.decide(event) for event in case.events[cut:]]
    assert got == expected


@given(
    st.lists(st.tuples(st.integers(-50, 90), st.sampled_from("abcdef")), min_size=12, max_size=60),
    st.integers(0, 60),
)
@settings(max_examples=60)
def test_what_was_idle_stays_forgotten(steps: list[tuple[int, str]], cut: int) -> None:
    """With a clock whose horizon moves every third event, minutes apart, so that keys leave."""
    made = build(sound(POLICY))
    events, second = [], 0
    for step, author in steps:
        second += step
        events.append(message(second, author))

    def fresh() -> Stepper:
        return Stepper(made, State(clock=Clock(60 * SECOND, 3)))

    whole, first, last = fresh(), fresh(), fresh()
    expected = [whole.decide(event) for event in events]
    got = [first.decide(event) for event in events[:cut]]
    restore(last, through_msgpack(sections(first)))
    assert got + [last.decide(event) for event in events[cut:]] == expected


def test_the_starter_bundle_in_two_halves_through_the_command_line(tmp_path: Path) -> None:
    day = islice(simulate(5, 8_000), 3_000)
    lines = [json.dumps({k: v for k, v in event.items() if k != "truth"}) for event in day]
    (tmp_path / "all.jsonl").write_text("\n".join(lines))
    (tmp_path / "one.jsonl").write_text("\n".join(lines[:1_400]))
    (tmp_path / "two.jsonl").write_text("\n".join(lines[1_400:]))
    state, report = tmp_path / "state", None
    with as_file(files("quell.policies")) as folder:
        for name, extra in (("all", ()), ("one", ("--state", state)), ("two", ("--state", state))):
            out = ("--out", tmp_path / f"{name}.out.jsonl", "--json")
            done = run("decide", folder, "--events", tmp_path / f"{name}.jsonl", *extra, *out)
            assert done.exit_code == 0, done.output
            report = json.loads(done.stdout).get("state")
            assert (report is not None) == (name == "two")
    assert report is not None
    assert set(report) == {"version", "kept"}
    made: dict[str, list[dict[str, Any]]] = {}
    for name in ("all", "one", "two"):
        made[name] = [json.loads(line) for line in (tmp_path / f"{name}.out.jsonl").read_text().splitlines()]
        for answer in made[name]:
            answer.pop("place", None)
    assert made["one"] + made["two"] == made["all"]
    assert made["all"][-1]["seq"] > 2_900


# ------------------------------------------------------------- what is broken


def test_a_snapshot_holds_everything_and_the_one_before_it_is_kept(bundle: Build, tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert not has_snapshot(path)
    first, second = used(bundle), used(bundle, 9)
    assert write_snapshot(first, path) == path.stat().st_size
    write_snapshot(second, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state", "state.1"]
    got, report = read_snapshot(path, lambda: Stepper(bundle))
    assert [*sections(got)] == [*sections(second)]
    assert (report.version, report.previous) == (bundle.version, None)
    assert report.kept == (
        'User "spammer"',
        'User "trusted"',
        "count(fired fast by author)",
        "count(message by author)",
        "distinct(content of message by author)",
        "limit of fast: send queue per author",
    )
    path.unlink()
    got, report = read_snapshot(path, lambda: Stepper(bundle))
    assert [*sections(got)] == [*sections(first)]
    assert report.previous == "there is no `state`"


def broken(bundle: Build, path: Path, data: bytes) -> str:
    """What is said of a snapshot with such bytes; the one before it is read."""
    path.write_bytes(data)
    got, report = read_snapshot(path, lambda: Stepper(bundle))
    assert got.seq == 9
    assert report.previous is not None
    return report.previous


def test_a_snapshot_torn_at_any_byte_gives_the_previous_one_and_says_so(
    bundle: Build, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    write_snapshot(used(bundle), path)
    write_snapshot(used(bundle, 12), path)
    whole = path.read_bytes()
    for end in range(len(whole)):
        assert broken(bundle, path, whole[:end]).startswith("`state` is damaged: it ")
    for more in (b"\0", whole[16:], whole):
        assert broken(bundle, path, whole + more).startswith("`state` is damaged: ")
    path.write_bytes(whole)
    assert read_snapshot(path, lambda: Stepper(bundle))[0].seq == 13


def test_so_does_one_with_any_bit_turned_over(bundle: Build, tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_snapshot(used(bundle), path)
    write_snapshot(used(bundle, 12), path)
    whole = path.read_bytes()
    dice = random.Random(4)
    for place in range(len(whole)):
        turned = bytearray(whole)
        turned[place] ^= 1 << dice.randrange(8)
        broken(bundle, path, bytes(turned))


def test_a_damaged_snapshot_never_takes_the_place_of_one_that_is_whole(bundle: Build, tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_snapshot(used(bundle), path)
    write_snapshot(used(bundle, 10), path)
    path.write_bytes(b"rubbish")
    kept = previous_of(path).read_bytes()
    write_snapshot(used(bundle, 11), path)
    assert previous_of(path).read_bytes() == kept
    assert read_snapshot(path, lambda: Stepper(bundle))[0].seq == 12


def test_without_one_that_is_whole_it_is_an_error(bundle: Build, tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"")
    with pytest.raises(SnapshotError) as caught:
        read_snapshot(path, lambda: Stepper(bundle))
    assert caught.value.message == (
        "there is no state to go on from: `state` is damaged: it does not begin as a snapshot does,"
        " and there is no `state.1`"
    )
    assert caught.value.hint == "move it away to begin without a memory"


def test_a_snapshot_of_a_newer_quell_is_refused(bundle: Build, tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_snapshot(used(bundle), path)
    write_snapshot(used(bundle), path)
    head = module.MAGIC + (module.FORMAT + 1).to_bytes(4, "big")
    path.write_bytes(head + crc32(head).to_bytes(4, "big") + path.read_bytes()[16:])
    with pytest.raises(SnapshotError, match=r"was written by a newer Quell \(format 2\)"):
        read_snapshot(path, lambda: Stepper(bundle))


BEGUN = {"version": "v", "seq": 1, "began": None, "clock": [None, None, 256, None, None]}

STORED: dict[str, Any] = {
    "kind": "count", "holds": [], "longest": 60_000_000, "recent": None, "began": None, "refused": None,
    "keys": [],
}  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        [],
        [["store", "x", ["x", {}]]],
        [["state", "b", {}]],
        [["state", "b", {**BEGUN, "seq": "many"}]],
        [["state", "b", {**BEGUN, "clock": []}]],
        [["state", "b", BEGUN], ["x", "", 1]],
        [["state", "b", {**BEGUN, "seq": float("inf")}]],
        [["state", "b", {**BEGUN, "clock": None}]],
        [["state", "b", BEGUN], ["labels", "User", ["spammer", [["u", 2**63, [], float("inf")]]]]],
        [["state", "b", BEGUN], ["store", "STORE", ["x", "x"]]],
        [["state", "b", BEGUN], ["store", "STORE", ["x", {**STORED, "keys": [["u", [[2**63] * 9, None]]]}]]],
        [["state", "b", BEGUN], ["store", "STORE", ["x", {**STORED, "holds": None}]]],
        [["state", 1, 2]],
    ],
)
def test_whole_sections_that_are_no_state_are_damage(bundle: Build, tmp_path: Path, told: list[Any]) -> None:
    path = tmp_path / "state"
    stores = Stepper(bundle).state.stores
    burst = next(identity for identity, store in stores.items() if store.longest == 60_000_000)
    told = [[kind, burst if name == "STORE" else name, what] for kind, name, what in told]
    with path.open("wb") as file:
        module._write(file, iter(told))
    with pytest.raises(SnapshotError, match="damaged: what it holds is no state"):
        read_snapshot(path, lambda: Stepper(bundle))


def test_what_cannot_be_written_says_why_and_leaves_what_was(bundle: Build, tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="no such file or directory"):
        write_snapshot(used(bundle), tmp_path / "no" / "state")
    path = tmp_path / "state"
    write_snapshot(used(bundle), path)
    (tmp_path / ".state.part").mkdir()
    with pytest.raises(SnapshotError, match="is a directory"):
        write_snapshot(used(bundle), path)
    assert read_snapshot(path, lambda: Stepper(bundle))[0].seq == 9


WRITER = """
import sys
from quell.engine.compile import build
from quell.engine.snapshot import write_snapshot
from tests.test_snapshot import POLICY, message
from tests.bundles import sound
from quell.engine import Stepper

stepper = Stepper(build(sound(POLICY)))
for n in range(3_000):
    stepper.decide(message(n, f"u{n}"))
for n in range(1_000_000):
    stepper.decide(message(4_000 + n))
    write_snapshot(stepper, sys.argv[1])
    print(stepper.seq, flush=True)
"""


@pytest.mark.slow
def test_a_process_killed_while_it_writes_leaves_a_snapshot(bundle: Build, tmp_path: Path) -> None:
    path = tmp_path / "state"
    dice = random.Random(11)
    root = Path(__file__).parent.parent
    for _ in range(8):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(dice.randint(2, 6))]
            try:
                process.wait(dice.random() * 0.05)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            told += process.stdout.readlines()
        last = int(told[-1]) if told[-1].strip().isdigit() else int(told[-2])
        got, report = read_snapshot(path, lambda: Stepper(bundle))
        # What was said to be written is there, or what was written after it and not said any more.
        assert report.previous is None
        assert got.seq - last in (0, 1)
        assert read_snapshot(previous_of(path), lambda: Stepper(bundle))[0].seq in (got.seq - 1, got.seq)


# ------------------------------------------------------------ the command line


def test_the_command_line_says_what_a_state_was_good_for(tmp_path: Path) -> None:
    folder, state = make_bundle(tmp_path / "bundle"), tmp_path / "state"
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps(message(1)) + "\n")
    common = ("decide", folder, "--events", events, "--state", state)
    assert "state" not in run(*common).stderr
    assert run(*common).stderr == ""
    state.write_bytes(state.read_bytes()[:-1])
    assert "went on from the state before the last: `state` is damaged: it ends early" in run(*common).stderr
    previous_of(state).unlink()
    state.write_bytes(b"x")
    done = run(*common)
    assert done.exit_code == 3
    assert "move it away to begin without a memory" in done.stderr
    for bad, why in (("-", "a file of its own"), (str(events), "would overwrite the events")):
        done = run("decide", folder, "--events", events, "--state", bad)
        assert (done.exit_code, why in done.stderr) == (2, True)
    assert run("decide", folder, "--events", events, "--state", tmp_path).exit_code == 3
    assert run("decide", folder, "--events", events, "--state", tmp_path / "no" / "x").exit_code == 3


def test_a_pipe_holds_no_state(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", POLICY)
    events, pipe = tmp_path / "e.jsonl", tmp_path / "pipe"
    events.write_text(json.dumps(message(1)), encoding="utf-8")
    os.mkfifo(pipe)
    done = run("decide", folder, "--events", events, "--state", pipe)
    assert done.exit_code != 0
    assert "is a pipe or a device" in done.stderr


def test_no_state_is_left_when_the_events_break_off(tmp_path: Path) -> None:
    folder, state = make_bundle(tmp_path / "bundle"), tmp_path / "state"
    torn = tmp_path / "events.jsonl.gz"
    torn.write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x01\x02")
    assert run("decide", folder, "--events", torn, "--state", state).exit_code == 3
    assert not has_snapshot(state)


def test_a_label_by_hand_outlives_the_process(bundle: Build, tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = used(bundle)
    first.unlabel("User", "u1", "spammer", at=NOON + 60 * SECOND, by="bo", for_="1h")
    write_snapshot(first, path)
    second, _ = read_snapshot(path, lambda: Stepper(bundle))
    assert isinstance(second.release("User", "nobody", "spammer", at=NOON, by="bo"), Acted)
    second.decide(message(100))
    second.decide(message(101))
    made = second.decide(message(102))
    assert isinstance(made, Decision)
    assert [(o.rule, o.by) for o in made.outranked] == [("fast", "bo")]
