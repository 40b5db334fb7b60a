"""A journal as a history: the same policies give exactly what it says, others what they would have done."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.compile import Build, build
from quell.engine.decision import Acted, Decision
from quell.engine.journal import Journal
from quell.engine.service import Service
from quell.engine.service_types import VersionInfo
from quell.engine.source_base import SourceError
from quell.engine.stepper import Stepper
from quell.replay.database import Database
from quell.replay.history import History
from quell.replay.history_ingest import ingest
from quell.replay.stepping import Steps
from quell.signals.remote_types import Answer
from tests.cli_support import run as quell
from tests.journal_runs import Run, recorded
from tests.replay_parity import compare_ways
from tests.strategies_policy import Case, cases
from tests.test_generated_remote import asked

POLICY = """
entity User labels "spammer", "seen"

event message from "message"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  content  text = $.content

model scam from remote "scam"
  content = content
  when length(content) > 3
  gives likely number

let marked = count(message by author within 1h where author labelled "spammer")

rule suspicious on message
  when scam.likely > 50%
  then block
       label author "spammer" for 1d

rule known on message
  when author labelled "spammer"
  then flag

rule often on message
  when marked >= 2
  then challenge
"""
TIME = 1_772_323_200_000_000
SECOND = 1_000_000
TEXTS = ("bad text", "good text", "hm", "oh")


def message(number: int, author: str, content: str, at: int | None = None) -> bytes:
    when = TIME + number * SECOND if at is None else at
    return json.dumps(
        {"type": "message", "id": f"m{number}", "at": when, "author": author, "content": content}
    ).encode()


def by_hand(number: int, author: str, label: str = "spammer") -> bytes:
    entry = {
        "type": "quell.label",
        "at": TIME + number * SECOND,
        "entity": "User",
        "id": author,
        "label": label,
        "action": "set",
        "by": "ana",
        "for": "2h",
    }
    return json.dumps(entry).encode()


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return bundle(tmp_path / "policies", POLICY)


def bundle(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "policy.quell").write_text(text)
    (folder / "quell.toml").write_text('[remote.scam]\nurl = "http://127.0.0.1:9"\n')
    return folder


def scam(waiting: Any) -> list[Answer]:
    return [Answer("answered", {"likely": 0.9 if "bad" in r.inputs[0] else 0.1}) for r in waiting.requests]


def made_again(history: History) -> dict[int, Decision | Acted]:
    """What the history's bundle makes of it, by the numbers of the journal."""
    found: dict[int, Decision | Acted] = {}
    for _, _, answer in Steps(history, Stepper(history.build)).made():
        assert isinstance(answer, Decision | Acted)
        found[answer.seq] = answer
    return found


def replayed(build: Build, folder: Path, **how: Any) -> dict[int, Decision | Acted]:
    with Database() as db:
        return made_again(ingest(db, "history", build, [folder], **how))


def assert_same(made: dict[int, Decision | Acted], then: dict[int, Decision | Acted]) -> None:
    encode = msgspec.json.encode
    assert {seq: encode(reply) for seq, reply in made.items()} == {
        seq: encode(reply) for seq, reply in then.items()
    }


# ------------------------------------------------------------------ the same policies


@settings(max_examples=40, deadline=None)
@given(cases("state"), st.integers(0, 2**32))
def test_the_same_policies_make_the_very_decisions_of_their_journal(
    tmp_path_factory: pytest.TempPathFactory, case: Case, seed: int
) -> None:
    dice = random.Random(seed)
    made = asked(case, dice)
    if made is None:
        return
    bundle = build(made.remote)
    run = Run(tmp_path_factory.mktemp("journal"), Stepper(bundle), segment_bytes=dice.choice([400, 1 << 20]))
    recorded(run, case.events, dice)
    run.close(packed=dice.randint(0, 2))
    assert_same(replayed(bundle, run.folder), run.made)


def test_what_a_service_did_with_late_answers_is_made_again(tmp_path: Path) -> None:
    """A service that asks a function which is often too late: its answers come in as events of their own."""
    text = POLICY + (
        'event scam_answer from "scam_answer"\n  id text = $.id\n  at time = $.at\n'
        "  content text = $.inputs.content\n  likely number = $.answer.likely\n\n"
        "let told = count(scam_answer within 1h where likely > 50%)\n\n"
        "rule told_late on message\n  when told >= 3\n  then flag\n"
    )
    policies = bundle(
        tmp_path / "policies", text.replace("  when length(content) > 3", "  when true\n  wait 4ms")
    )
    (policies / "quell.toml").write_text('[remote.scam]\ncallable = true\nlate = "scam_answer"\n')
    dice = random.Random(5)

    async def answer(inputs: list[dict[str, Any]]) -> list[Any]:
        await asyncio.sleep(dice.choice([0, 0.001, 0.02]))
        return [{"likely": 0.9 if "bad" in i["content"] else 0.1} for i in inputs]

    async def serve() -> list[Any]:
        journal = Journal.open(tmp_path / "journal", segment_bytes=4000, packs=False)
        service = Service(Stepper.load(policies), journal=journal, functions={"scam": answer}, ahead=None)
        service.note_version(VersionInfo(1, service.bundle.version, 1, "ana", "start"))
        waits = []
        for n in range(1, 80):
            waits.append(asyncio.ensure_future(service.decide(message(n, f"u{n % 5}", dice.choice(TEXTS)))))
            await asyncio.sleep(dice.choice([0, 0, 0.003]))
            if n == 40:
                waits.append(asyncio.ensure_future(service.decide(by_hand(n, "u3"))))
        made = [reply for reply, _ in await asyncio.gather(*waits)]
        await asyncio.sleep(0.05)
        await service.close()
        journal.close()
        return made

    then = {reply.seq: reply for reply in asyncio.run(serve())}
    made = replayed(Stepper.load(policies).bundle, tmp_path / "journal")
    late = [d for d in made.values() if isinstance(d, Decision) and d.event == "scam_answer"]
    assert late  # nobody waits for these
    assert_same({seq: reply for seq, reply in made.items() if seq in then}, then)
    assert len(made) == len(then) + len(late)


def test_what_never_got_an_answer_is_decided_without_it(tmp_path: Path, policies: Path) -> None:
    run = Run(tmp_path / "journal", Stepper.load(policies), scam)
    run.take(message(1, "u1", "bad text"))
    run.take(message(2, "u2", "good text"))
    run.go_on(1)
    run.close()
    made = replayed(Stepper.load(policies).bundle, run.folder)
    assert_same({3: made[3]}, run.made)
    late = made[2]
    assert isinstance(late, Decision)
    assert [(a.model, a.status) for a in late.asked] == [("scam", "unasked")]


def test_effects_are_seen_by_what_came_after_the_decision(tmp_path: Path, policies: Path) -> None:
    run = Run(tmp_path / "journal", Stepper.load(policies), scam)
    run.take(message(1, "u1", "bad text"))
    run.take(message(2, "u1", "hm"))  # decided while the first waits
    run.go_on()
    run.take(message(3, "u1", "hm"))
    run.take(by_hand(4, "u2"))
    run.take(message(5, "u2", "hm"))
    run.close()
    made = replayed(Stepper.load(policies).bundle, run.folder)
    assert_same(made, run.made)
    verdicts = {d.id: d.verdict for d in made.values() if isinstance(d, Decision)}
    assert verdicts == {"m1": "block", "m2": "allow", "m3": "flag", "m5": "flag"}


def test_in_order_of_time_each_event_is_decided_before_the_next(tmp_path: Path, policies: Path) -> None:
    run = Run(tmp_path / "journal", Stepper.load(policies), scam)
    run.take(message(5, "u1", "bad text"))
    run.take(message(2, "u1", "hm"))  # late
    run.take(message(6, "u1", "hm"))
    run.go_on()
    run.close()
    assert_same(replayed(Stepper.load(policies).bundle, run.folder), run.made)
    made = replayed(Stepper.load(policies).bundle, run.folder, order="time")
    verdicts = {d.id: d.verdict for d in made.values() if isinstance(d, Decision)}
    assert verdicts == {"m2": "allow", "m5": "block", "m6": "flag"}


# ------------------------------------------------------------------ what is a journal


def three(folder: Path, policies: Path) -> Run:
    run = Run(folder, Stepper.load(policies), scam, segment_bytes=400)
    for number, text in enumerate(("bad text", "hm", "good text"), 1):
        run.take(message(number, "u1", text))
        if run.waiting:
            run.go_on()
    return run


def test_the_data_folder_stands_for_its_journal(tmp_path: Path, policies: Path) -> None:
    run = three(tmp_path / "data" / "journal", policies)
    run.close(packed=1)
    assert list((tmp_path / "data" / "journal").glob("*.parquet"))
    bundle = Stepper.load(policies).bundle
    for folder in (run.folder, run.folder.parent):
        assert_same(replayed(bundle, folder), run.made)
    (part,) = run.folder.glob("*.parquet")
    with Database() as db, pytest.raises(SourceError, match="is a part of a journal"):
        ingest(db, "history", bundle, [part])
    with Database() as db, pytest.raises(SourceError, match="holds no file of events"):
        ingest(db, "history", bundle, [tmp_path])  # which has a journal only further down


def test_a_journal_that_grows_is_read_as_far_as_the_first_time(tmp_path: Path, policies: Path) -> None:
    run = three(tmp_path / "journal", policies)
    bundle = Stepper.load(policies).bundle
    with Database() as db:
        first = ingest(db, "first", bundle, [run.folder])
        run.take(message(4, "u1", "bad text"))
        again = ingest(db, "again", bundle, [run.folder])
        assert made_again(first).keys() == made_again(again).keys()
    run.close()
    assert len(replayed(bundle, run.folder)) == 4


def test_a_damaged_journal_is_refused(tmp_path: Path, policies: Path) -> None:
    run = three(tmp_path / "journal", policies)
    run.close()
    file = sorted(run.folder.glob("*.qj"))[0]
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    done = quell("replay", policies, "--events", run.folder)
    assert done.exit_code == 3
    assert "the journal is damaged" in done.stderr
    assert "quell journal export --events-only" in done.stderr


def test_an_empty_journal_has_no_events(tmp_path: Path, policies: Path) -> None:
    run = Run(tmp_path / "journal", Stepper.load(policies))
    run.close()
    done = quell("replay", policies, "--events", run.folder)
    assert done.exit_code == 3
    assert f"`{run.folder}` holds no event" in done.stderr


def test_labels_by_hand_need_no_type_of_their_own(tmp_path: Path) -> None:
    """An action of the API is put down with its type at `type`, wherever events have theirs."""
    text = 'entity User labels "spammer"\nevent m from "m"\n  at time = $.at\n  author User = $.author\n'
    text += 'rule known on m\n  when author labelled "spammer"\n  then block\n'
    policies = bundle(tmp_path / "policies", text)
    (policies / "quell.toml").write_text('[events]\ntype = "$.head.kind"\n')
    stepper = Stepper.load(policies)
    run = Run(tmp_path / "journal", stepper)
    acted = stepper.label("User", "u1", "spammer", at=TIME, by="ana", until=TIME + 2 * SECOND)
    run._journal.append("acted", acted.seq, acted.seq, acted.at, 1, 1, b"", msgspec.json.encode(acted))
    run.made[acted.seq] = acted
    for second in (1, 3):
        run.take(json.dumps({"head": {"kind": "m"}, "at": TIME + second * SECOND, "author": "u1"}).encode())
    run.close()
    made = replayed(stepper.bundle, run.folder)
    assert_same(made, run.made)
    assert [d.verdict for d in made.values() if isinstance(d, Decision)] == ["block", "allow"]


# ------------------------------------------------------------------ reports


def long_run(folder: Path, policies: Path, count: int = 60, seed: int = 1) -> Run:
    dice = random.Random(seed)
    run = Run(folder, Stepper.load(policies), scam, segment_bytes=3000)
    events = [message(n, f"u{dice.randint(1, 4)}", dice.choice(TEXTS)) for n in range(1, count + 1)]
    events.insert(count // 2, by_hand(count // 2, "u3", "seen"))
    recorded(run, events, dice)
    run.close(packed=2)
    return run


def report(*arguments: Any, status: int = 0) -> Any:
    done = quell(*arguments, "--json")
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def test_a_report_says_what_was_recorded(tmp_path: Path, policies: Path) -> None:
    run = long_run(tmp_path / "journal", policies)
    told = report("replay", policies, "--events", run.folder)
    decisions = [d for d in run.made.values() if isinstance(d, Decision)]
    verdicts = {row["verdict"]: row["count"] for row in told["verdicts"]}
    for verdict in ("allow", "flag", "challenge", "block"):
        assert verdicts.get(verdict, 0) == sum(d.verdict == verdict for d in decisions)
    asked_for = sum(len(d.asked) for d in decisions)
    assert told["remote"] == {"scam": asked_for}
    assert "unrecorded" not in told
    assert f"remote answers: {asked_for} recorded, 0 not" in told["notes"]
    assert "these very policies decided all of it in service" in told["notes"]
    assert told["source"]["order"] == "given"
    assert told["source"]["hands"] == 1
    (way,) = told["ways"]
    assert way["way"] == "stepped"
    assert "taken from the journal" in way["why"]


def test_other_policies_miss_what_was_not_asked(tmp_path: Path, policies: Path) -> None:
    run = long_run(tmp_path / "journal", policies)
    wider = bundle(tmp_path / "wider", POLICY.replace("> 3\n  gives", "> 0\n  gives"))
    told = report("replay", wider, "--events", run.folder)
    decisions = [d for d in run.made.values() if isinstance(d, Decision)]
    missing = sum(not d.asked for d in decisions)
    assert missing > 0
    assert told["unrecorded"] == {"scam": missing}
    assert (
        f"remote answers: {told['remote']['scam']} recorded, {missing} not, which are missing"
        in told["notes"]
    )
    assert (
        "this is what these policies would have done throughout: in service version 1 decided"
        in told["notes"]
    )


def test_policies_without_remote_models_go_by_columns(
    tmp_path: Path, policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = long_run(tmp_path / "journal", policies)
    text = POLICY.replace("scam.likely > 50%", 'content contains "bad"')
    start, end = text.index("model scam"), text.index("let marked")
    plain = bundle(tmp_path / "plain", text[:start] + text[end:])
    (plain / "quell.toml").unlink()
    with Database() as db:
        found, columnar = compare_ways(ingest(db, "history", Stepper.load(plain).bundle, [run.folder]))
        assert not found
        assert columnar is not None
    told = report("replay", plain, "--events", run.folder)
    assert "remote" not in told
    monkeypatch.setattr("quell.replay.choosing.SHORT", 0)
    explained = report("replay", plain, "--events", run.folder, "--event", "journal:5")
    assert explained["decision"]["seq"] == 5


def test_a_journal_against_other_policies(tmp_path: Path, policies: Path) -> None:
    run = long_run(tmp_path / "journal", policies)
    same = report("replay", policies, "--events", run.folder, "--against", policies)
    assert same["changed"] == 0
    stricter = bundle(tmp_path / "stricter", POLICY.replace("> 50%", "> 5%"))
    told = report("replay", stricter, "--events", run.folder, "--against", policies)
    assert told["changed"] > 0
    assert told["after"]["remote"]["scam"] > 0


def test_one_event_is_explained_as_the_journal_has_it(tmp_path: Path, policies: Path) -> None:
    run = long_run(tmp_path / "journal", policies)
    for decision in list(run.made.values())[:12]:
        if isinstance(decision, Decision):
            place = f"journal:{decision.seq}"
            told = report("replay", policies, "--events", run.folder, "--event", place)
            assert told["decision"] == json.loads(msgspec.json.encode(decision))


def test_samples_tell_a_command_that_works(tmp_path: Path, policies: Path) -> None:
    run = long_run(tmp_path / "journal", policies)
    told = report("replay", policies, "--events", run.folder)
    sample = next(row for row in told["rules"] if row["rule"] == "suspicious")["samples"][0]
    assert sample["command"] == f"quell replay {policies} --events {run.folder} --event {sample['place']}"
    done = quell(*sample["command"].split()[1:])
    assert done.exit_code == 0
    assert "suspicious" in done.stdout


def test_thresholds_are_swept_over_a_journal(tmp_path: Path, policies: Path) -> None:
    run = long_run(tmp_path / "journal", policies)
    told = report("tune", policies, "--events", run.folder, "--rule", "often")
    assert told


def test_a_journal_among_files_is_taken_in_order_of_time(tmp_path: Path, policies: Path) -> None:
    run = long_run(tmp_path / "journal", policies)
    more = tmp_path / "more.jsonl"
    more.write_bytes(message(0, "u9", "hm") + b"\n" + message(90, "u9", "bad text") + b"\n")
    told = report("replay", policies, "--events", run.folder, "--events", more)
    assert told["source"]["order"] == "time"
    assert told["source"]["events"] == 62
    assert told["unrecorded"] == {"scam": 1}


def test_the_last_entries_of_a_journal_may_be_left_out(tmp_path: Path, policies: Path) -> None:
    run = long_run(tmp_path / "journal", policies)
    told = report("replay", policies, "--events", run.folder, "--limit", 20)
    assert told["source"]["events"] == 20


def test_a_journal_that_is_opened_again_is_the_same_history(tmp_path: Path, policies: Path) -> None:
    run = long_run(tmp_path / "journal", policies)
    journal = Journal.open(run.folder, durability="off")
    assert journal.last == max(reply.decided for reply in run.made.values() if isinstance(reply, Decision))
    journal.close()
    assert_same(replayed(Stepper.load(policies).bundle, run.folder), run.made)
