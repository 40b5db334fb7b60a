"""A service that ends and begins again, in good order or killed, remembers what one without an end would."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from quell.engine.checkpoint import Data, snapshots
from quell.engine.decision import Decision
from quell.engine.events import Decoded
from quell.engine.explain import Account, Explainer
from quell.engine.hand import made
from quell.engine.journal import read
from quell.engine.reload_check import Checked
from quell.engine.serving import Serving, Setup, serving
from quell.engine.settle import Hit
from quell.engine.stepper import Observer, Stepper
from quell.engine.waiting import Waiting
from tests.service_here import Collecting, here, kill, until
from tests.service_world import START, Events, Follower, memory, place_of, slow, texts_of, write_bundle

SEGMENT = 30_000
"""Bytes of a segment, so that there are some."""


class Act(NamedTuple):
    """Something that is done to a service: an event, a label, another version, a snapshot, an end."""

    what: str
    number: int
    event: bytes = b""


def acts_of(chance: random.Random, many: int) -> list[Act]:
    """What is done, by chance."""
    events, version, acts = Events(chance), 1, []
    for place in range(many):
        draw = chance.random()
        if draw < 0.93:
            acts.append(Act("event", place, events.next()))
        elif draw < 0.95:
            acts.append(Act("label", int(events.second), by_hand(chance, events.second)))
        elif draw < 0.965:
            version += 1
            acts.append(Act(chance.choice(["reload", "reload", "reload while down"]), version))
        elif draw < 0.98:
            acts.append(Act("snapshot", place))
        else:
            acts.append(Act(chance.choice(["close", "kill"]), place))
    return acts


def by_hand(chance: random.Random, second: float) -> bytes:
    """A label by hand as an event."""
    said = {
        "type": "quell.label",
        "at": START / 1e6 + second,
        "entity": "User",
        "id": f"u{chance.randrange(5)}",
        "label": chance.choice(["spammer", "watched"]),
        "action": chance.choice(["set", "remove", "release"]),
        "by": "ana",
    }
    return msgspec.json.encode(said if said["action"] == "release" else {**said, "for": "20s"})


class Run:
    """One run of acts over a data folder; `restarts` says whether the service ends where the acts say so."""

    def __init__(self, folder: Path, *, restarts: bool, remote: bool = False, seed: int = 0) -> None:
        self.folder, self.restarts, self.remote = folder, restarts, remote
        self.follower = Follower(folder / "data")
        self.replies: list[bytes] = []
        self.seqs: list[int] = []
        self.sink = Collecting(fails_each=3)
        self.ends = self.begun_from_snapshots = 0
        self.setup = Setup(
            segment_bytes=SEGMENT,
            sinks={"queue": self.sink, "hook": self.sink},
            functions={"classifier": slow(seed)} if remote else None,
            snapshots_every=1 << 40,
        )
        self._under_way: list[asyncio.Future[Any]] = []

    async def do(self, acts: list[Act]) -> None:
        """Do all acts, and end in good order."""
        self._write(1)
        left = list(acts)
        while left:
            async with serving(self.folder / "policies", self.folder / "data", self.setup) as running:
                self._look(running)
                left = await self._until_end(running, left)
                if not left:
                    await self._sent(running)

    async def _sent(self, running: Serving) -> None:
        """All that waited is answered, told in the journal, and sent."""
        await asyncio.gather(*self._under_way)
        await self._told(running)
        await until(lambda: not any(lane.waiting for lane in running.outbox.figures().sinks.values()))

    async def _told(self, running: Serving) -> None:
        await until(lambda: not running.service.engine.waiting)
        assert running.journal.flush()

    def _write(self, version: int) -> None:
        write_bundle(self.folder / "policies", texts_of(version, remote=self.remote))

    def _look(self, running: Serving) -> None:
        """What came back is what a run over the journal remembers."""
        follower, restart = self.follower, running.restart
        follower.follow()
        assert (restart.differing, follower.remaker.differing, restart.told) == (0, 0, ())
        assert memory(running.service.engine.stepper) == memory(follower.remaker.stepper)
        self.begun_from_snapshots += restart.snapshot > 0

    async def _until_end(self, running: Serving, acts: list[Act]) -> list[Act]:
        """Do acts until the service ends; gives what is left to do."""
        for place, act in enumerate(acts):
            if act.what == "reload while down" and self.restarts:
                await self._end(running, act.number % 2 == 0)
                self._write(act.number)
                return acts[place + 1 :]
            if act.what in ("close", "kill") and self.restarts:
                await self._end(running, act.what == "kill")
                return acts[place + 1 :]
            await self._do(running, act)
        await asyncio.gather(*self._under_way)
        return []

    async def _end(self, running: Serving, killed: bool) -> None:
        self.ends += 1
        if killed:
            await kill(running)
        self._under_way.clear()

    async def _do(self, running: Serving, act: Act) -> None:
        service = running.service
        if act.what == "event":
            answer = service.begin(act.event)
            if self.remote:
                self._under_way.append(asyncio.ensure_future(_whole(answer)))
                await asyncio.sleep(0)
                return
            reply, encoded = await _whole(answer)
            self.replies.append(encoded)
            if isinstance(reply, Decision):
                self.seqs.append(reply.seq)
        elif act.what == "label":
            at = START + act.number * 1_000_000
            action = made("set", "User", f"u{act.number % 5}", "spammer", at=at, by="ana", lasts=9_000_000)
            self.replies.append((await service.label(action))[1])
            self.replies.append((await _whole(service.begin(act.event)))[1])
        elif act.what.startswith("reload"):
            self._write(act.number)
            outcome = await running.reloader.reload("test")
            assert outcome.result == "live", outcome
        elif act.what == "snapshot" and self.restarts:
            figures = await running.snapshots.make()
            assert (figures.problem, figures.differing) == ("", 0)


async def _whole(answer: Any) -> Any:
    return await answer if isinstance(answer, asyncio.Future) else answer


def sent(sink: Collecting) -> dict[str, bytes]:
    """What a sink was given, by key without the journal's part of it; the same under one key each time."""
    found = {}
    for key, messages in sink.delivered.items():
        _, rest = key.split("-", 1)
        found[rest] = msgspec.json.encode([*messages[0].payload.items()])
        assert {m.body() for m in messages} == {messages[0].body()}
    return found


@pytest.mark.parametrize("seed", range(3))
def test_decisions_go_on_as_if_the_service_had_never_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    here(monkeypatch, fills=False)
    acts = acts_of(random.Random(seed), 400)

    async def main() -> None:
        whole, parts = (Run(tmp_path / str(restarts), restarts=restarts) for restarts in (False, True))
        await whole.do(acts)
        await parts.do(acts)
        assert parts.ends > 3
        assert parts.begun_from_snapshots > 0
        assert parts.replies == whole.replies
        assert sent(parts.sink) == sent(whole.sink)

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_what_waits_for_remote_answers_when_the_service_ends_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    here(monkeypatch)
    acts = acts_of(random.Random(seed), 400)

    async def main() -> None:
        run = Run(tmp_path, restarts=True, remote=True, seed=seed)
        await run.do(acts)
        assert run.ends > 3
        run.follower.follow()
        assert run.follower.remaker.waiting == {}
        assert {place_of(key) for key in run.sink.delivered} == run.follower.places()
        sent(run.sink)

    asyncio.run(main())


def test_the_version_that_decided_decides_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch, fills=False)
    policies, events = tmp_path / "policies", Events(random.Random(1))

    async def lives(
        version: int, *, warned: bool = False, then: Callable[[Serving], Any] | None = None
    ) -> None:
        """The service comes back with a version; something is done with it, and it is killed."""
        async with serving(policies, tmp_path / "data") as running:
            assert running.service.number == version
            assert bool(running.started.warnings) == warned
            await running.service.decide(events.next())
            if then is not None:
                outcome = await then(running)
                assert outcome.result == "live"
            await running.service.decide(events.next())
            last = running.service.engine.stepper.seq
            await kill(running)
        follower = Follower(tmp_path / "data")
        follower.follow()
        follower.close()
        assert (follower.remaker.differing, follower.remaker.waiting) == (0, {})
        assert follower.remaker.stepper.seq == last

    async def main() -> None:
        write_bundle(policies, texts_of(1))
        await lives(1)
        write_bundle(policies, texts_of(2))
        await lives(2, then=lambda running: running.reloader.put_back(1, "ana"))
        await lives(3)  # and not what is in the folder, which has not changed since
        write_bundle(policies, texts_of(3))
        await lives(4)
        write_bundle(policies, texts_of(4, bad=True))
        await lives(4, warned=True)
        write_bundle(policies, texts_of(5))
        await lives(5, then=lambda running: _reloaded(running, policies))
        await lives(6)

    asyncio.run(main())


async def _reloaded(running: Serving, policies: Path) -> Any:
    write_bundle(policies, texts_of(6))
    return await running.reloader.reload("ana")


class Looking:
    """Explains each decision in the moment in which it is made; `found` by the decision as JSON.

    By that and not by its number, which may come twice: what waits when the service is killed is still
    decided by what is left of it in this process. Nobody hears of that, and the journal does not say it.
    After the restart the event is decided anew, or its number is given to another one.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: dict[bytes, bytes] = {}
        self._admit, self._resume = Stepper.admit, Stepper.resume
        monkeypatch.setattr(Stepper, "admit", lambda *given: self._admitted(*given))
        monkeypatch.setattr(Stepper, "resume", lambda *given: self._resumed(*given))

    def _admitted(self, stepper: Stepper, decoded: Decoded, observe: Observer | None = None) -> Any:
        if observe is not None:
            return self._admit(stepper, decoded, observe)
        return self._noted(stepper, lambda look: self._admit(stepper, decoded, look))

    def _resumed(
        self, stepper: Stepper, waiting: Waiting, answers: Any, observe: Observer | None = None
    ) -> Any:
        if observe is not None:
            return self._resume(stepper, waiting, answers, observe)
        return self._noted(stepper, lambda look: self._resume(stepper, waiting, answers, look))

    def _noted(self, stepper: Stepper, decide: Callable[[Observer], Any]) -> Any:
        taken: list[Account] = []

        def look(decoded: Decoded, hits: list[Hit]) -> None:
            taken.append(Explainer(stepper).account(decoded, hits))

        reply = decide(look)
        if isinstance(reply, Decision) and taken:  # what counts only, to fill counters, decides nothing
            explained = msgspec.json.encode(taken[0].explanation(reply))
            self.found.setdefault(msgspec.json.encode(reply), explained)
        return reply


@pytest.mark.parametrize("remote", [False, True])
def test_a_past_decision_is_explained_as_in_the_moment_in_which_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: bool
) -> None:
    here(monkeypatch)
    looking, chance = Looking(monkeypatch), random.Random(5)
    acts = acts_of(chance, 300)

    async def main() -> None:
        run = Run(tmp_path, restarts=True, remote=remote, seed=5)
        await run.do(acts)
        monkeypatch.undo()
        here(monkeypatch)
        data = Data(tmp_path / "data")
        assert len({s.version for s in snapshots(data)}) > 1
        decided = {e.seq: e.reply for e in read(data.journal) if e.kind in ("event", "decided")}
        assert looking.found.keys() >= set(decided.values())
        async with serving(tmp_path / "policies", data.root, run.setup) as running:
            for seq in chance.sample(sorted(decided), 12):
                assert await running.explain(seq) == looking.found[decided[seq]]

    asyncio.run(main())


def test_what_a_decision_sends_goes_out_though_nobody_waits_for_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch)
    write_bundle(tmp_path / "policies", texts_of(1))
    sink = Collecting()
    setup = Setup(durability="each", sinks={"queue": sink, "hook": sink})

    async def main() -> None:
        events, follower = Events(random.Random(1)), Follower(tmp_path / "data")
        async with serving(tmp_path / "policies", tmp_path / "data", setup) as running:
            for place in range(60):
                waiting = running.service.begin(events.next())
                if place % 3 and isinstance(waiting, asyncio.Future):
                    await asyncio.sleep(0)
                    waiting.cancel()
                many = running.service.begin_many([events.next(), events.next()])
                if isinstance(many, asyncio.Future):
                    await asyncio.sleep(0)
                    many.cancel()
            await until(lambda: not running.service.unsent)
            follower.follow()
            assert len(follower.places()) > 10
            await until(lambda: {place_of(key) for key in sink.delivered} == follower.places())

    asyncio.run(main())


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)


def test_damaged_snapshots_are_told_and_what_is_whole_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch)
    write_bundle(tmp_path / "policies", texts_of(1))
    data, setup = tmp_path / "data", Setup(snapshots_every=1 << 40)
    events = Events(random.Random(1))

    async def begun() -> tuple[int, tuple[str, ...]]:
        """How the service comes back; it remembers what the journal says."""
        async with serving(tmp_path / "policies", data, setup) as running:
            follower = Follower(data)
            follower.follow()
            follower.close()
            assert memory(running.service.engine.stepper) == memory(follower.remaker.stepper)
            restart = running.restart
            await kill(running)
            return restart.snapshot, restart.told

    async def main() -> None:
        async with serving(tmp_path / "policies", data, setup) as running:
            for _ in range(3):
                for _ in range(30):
                    await running.service.decide(events.next())
                await running.snapshots.make()
        newest, middle, oldest = (s.path for s in snapshots(Data(data)))
        _damage(newest)
        number, told = await begun()
        assert number == snapshots(Data(data))[1].number
        assert f"the snapshot `{newest.name}` was left out" in told[0]
        _damage(middle)
        assert (await begun())[0] == snapshots(Data(data))[2].number
        _damage(oldest)
        number, told = await begun()
        assert (number, len(told)) == (0, 3)

    asyncio.run(main())


def test_what_killed_processes_had_begun_to_write_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch, fills=False)
    policies, data = write_bundle(tmp_path / "policies", texts_of(1)), Data(tmp_path / "data")
    parts = [data.states / ".state-7-v1.quell.part", data.fills / ".fill-7-v1.quell.part"]
    data.states.mkdir(parents=True)
    data.fills.mkdir()
    kept = data.fills / "fill-0000000000000000007-v1.quell"
    for path in (*parts, kept):
        path.write_bytes(b"begun")

    async def main() -> None:
        async with serving(policies, data.root, Setup(snapshots_every=1 << 40)) as running:
            assert not any(path.exists() for path in parts)
            await running.service.decide(Events(random.Random(1)).next())
            parts[0].write_bytes(b"begun")
            assert (await running.snapshots.make()).problem == ""
            assert not parts[0].exists()
            assert kept.exists()

    asyncio.run(main())


# ------------------------------------------------------------------ a reload under way at the end


class Never:
    """A check that does not end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def check(self, folder: Path, against: Path | None = None, tests: bool = True) -> Checked:
        """Check a bundle."""
        self.begun.set()
        await asyncio.Event().wait()
        raise AssertionError


def test_a_reload_that_somebody_asked_for_ends_with_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch)

    async def main() -> None:
        write_bundle(tmp_path / "policies", texts_of(1))
        async with serving(tmp_path / "policies", tmp_path / "data") as running:
            checker: Any = Never()
            running.reloader.checker = checker
            write_bundle(tmp_path / "policies", texts_of(2))
            asked = asyncio.ensure_future(running.reloader.reload("ana"))
            await checker.begun.wait()
        assert not running.reloader.status.busy
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert [entry.version for entry in read(tmp_path / "data" / "journal")] == [1]

    asyncio.run(asyncio.wait_for(main(), 60))
