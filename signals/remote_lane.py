"""One target's lane: its questions wait here, go out in bounded calls, and are answered or given up."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from quell.grammar.literals import spell_duration
from quell.signals.remote_answers import Reader, left_out
from quell.signals.remote_breaker import Breaker
from quell.signals.remote_cache import Cache
from quell.signals.remote_types import Answer, CallError, Figures, RemoteSpec, Request, Status, Target

OnLate = Callable[[RemoteSpec, Request, Any, Any], object]


CLOSED = CallError("failed", "the engine was closed")


class Transport(Protocol):
    """What carries questions to a target."""

    async def call(self, model: str, questions: Sequence[bytes]) -> list[Any]:
        """One answer for each question (the JSON of its inputs), in order. Raises CallError."""
        ...

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...


class Waiter:
    """Who asked: its future, and what `on_late` is told when the answer comes too late."""

    __slots__ = ("future", "late", "request", "timer", "token")

    def __init__(self, future: asyncio.Future[Answer], request: Request, token: Any) -> None:
        self.future = future
        self.request = request
        self.token = token
        self.late = False
        self.timer: asyncio.TimerHandle | None = None


class Question:
    """One question under way, with everybody who asked it. `sent` is when its call began, or None."""

    __slots__ = ("key", "line", "round", "sent", "text", "waiters")

    def __init__(self, line: Line, key: bytes, text: bytes, round_: int) -> None:
        self.line = line
        self.key = key
        self.text = text
        self.round = round_
        self.sent: float | None = None
        self.waiters: list[Waiter] = []


class Line:
    """The questions of one model that wait for a free call. `due`: they need not wait for a fuller batch."""

    __slots__ = ("due", "prefix", "questions", "read", "spec", "timer", "wait")

    def __init__(self, spec: RemoteSpec, read: Reader, version: str) -> None:
        self.spec = spec
        self.read = read
        self.wait = spec.wait / 1e6
        self.prefix = f"{spec.name}\0{version}\0".encode()
        self.questions: OrderedDict[bytes, Question] = OrderedDict()
        self.due = False
        self.timer: asyncio.TimerHandle | None = None


class Call:
    """One call under way. `judged`: the breaker has been told how it went, which it is once. `expired`: its
    own time is over, and it was stopped. `timer` rings when it is overdue, then when its time is over."""

    __slots__ = ("expired", "judged", "line", "questions", "task", "timer")

    def __init__(self, line: Line, questions: list[Question]) -> None:
        self.line = line
        self.questions = questions
        self.judged = False
        self.expired = False
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None


class Lane:
    """Everything between asking a target and its answers: cache, single flight, queue, batches, breaker."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, target: Target, transport: Transport, on_late: OnLate | None
    ) -> None:
        self.loop = loop
        self.target = target
        self.transport = transport
        self._on_late = on_late
        self._breaker = Breaker(target.failures, target.rest / 1e6)
        self._cache = Cache(target.cache / 1e6, target.cache_size)
        self._lines: OrderedDict[str, Line] = OrderedDict()
        self._under_way: dict[bytes, Question] = {}
        self._calls: set[Call] = set()
        self._waiting = 0
        self._counts: Counter[str] = Counter()
        self._spent = 0.0
        self._linger = target.linger / 1e6 if target.batch > 1 else 0.0

    def add(self, spec: RemoteSpec, read: Reader) -> Line:
        """The line of a model that this target answers."""
        line = self._lines[spec.name] = Line(spec, read, self.target.version)
        return line

    # ------------------------------------------------------------------ asking

    def ask(
        self, line: Line, request: Request, text: bytes, deadline: float | None, token: Any
    ) -> asyncio.Future[Answer]:
        """A future that resolves by the model's `wait` or the deadline. `text` is the JSON of the inputs."""
        self._counts["asked"] += 1
        future: asyncio.Future[Answer] = self.loop.create_future()
        now = self.loop.time()
        key = hashlib.blake2b(line.prefix + text, digest_size=16).digest()
        kept = self._cache.get(key, now)
        if kept is not None:
            self._resolve(future, Answer("cached", kept[1]))
            return future
        if deadline is not None and deadline <= now:
            self._resolve(future, self._answer("late", "not asked, the decision had no time left"))
            return future
        question = self._under_way.get(key)
        # Who joins a call that is overdue would most likely wait in vain: such a question is asked anew.
        if question is None or (question.sent is not None and now >= question.sent + line.wait):
            question = self._enter(line, key, text, now, future)
            if question is None:
                return future
        waiter = Waiter(future, request, token)
        question.waiters.append(waiter)
        end = now + line.wait
        at = end if deadline is None or deadline >= end else deadline
        waiter.timer = self.loop.call_at(at, self._too_late, question, waiter, at < end)
        return future

    def _enter(
        self, line: Line, key: bytes, text: bytes, now: float, future: asyncio.Future[Answer]
    ) -> Question | None:
        """A new question in its line; None where it may not be asked, and the future says why."""
        if self._waiting >= self.target.queue and len(self._calls) >= self.target.concurrency:
            self._resolve(future, self._answer("busy", f"not asked, {self._waiting:,} questions are waiting"))
            return None
        round_ = self._breaker.enter(now)
        if round_ is None:
            self._resolve(future, self._open())
            return None
        question = Question(line, key, text, round_)
        line.questions[key] = self._under_way[key] = question
        self._waiting += 1
        if len(line.questions) >= self.target.batch:
            self._pump()
        elif line.timer is None and not line.due:
            line.timer = self.loop.call_later(self._linger, self._lingered, line)
        return question

    def _lingered(self, line: Line) -> None:
        line.timer = None
        line.due = True
        self._pump()

    def _too_late(self, question: Question, waiter: Waiter, by_deadline: bool) -> None:
        """The waiter's time is over. A question that nobody waits for any more is not sent."""
        # One that has left its line is as good as sent, though its call may begin only a moment later.
        sent = question.line.questions.get(question.key) is not question
        if not waiter.future.done():  # else who asked has gone
            waiter.late = True
            limit = "within " + spell_duration(question.line.spec.wait)
            when = "before the decision's deadline" if by_deadline else limit
            what = "no answer" if sent else "not asked, as no call was free"
            self._resolve(waiter.future, self._answer("late", f"{what} {when}"))
        if not sent and all(w.future.done() for w in question.waiters):
            self._drop(question)

    # ------------------------------------------------------------------ calling

    def _pump(self) -> None:
        """Begin calls while there are lines that are full or due, and calls are free."""
        while self._waiting and len(self._calls) < self.target.concurrency:
            for line in self._lines.values():
                if line.questions and (line.due or len(line.questions) >= self.target.batch):
                    break
            else:
                return
            self._lines.move_to_end(line.spec.name)
            questions = self._take(line)
            if questions:
                call = Call(line, questions)
                self._calls.add(call)
                call.task = self.loop.create_task(self._call(call))

    def _take(self, line: Line) -> list[Question]:
        batch: list[Question] = []
        while line.questions and len(batch) < self.target.batch:
            question = next(iter(line.questions.values()))
            if any(not w.future.done() for w in question.waiters) or not question.waiters:
                self._leave_line(question)
                batch.append(question)
            else:  # who asked has gone
                self._drop(question)
        return batch

    def _leave_line(self, question: Question) -> None:
        line = question.line
        del line.questions[question.key]
        self._waiting -= 1
        if not line.questions:
            line.due = False
            if line.timer is not None:
                line.timer.cancel()
                line.timer = None

    def _drop(self, question: Question) -> None:
        self._leave_line(question)
        self._forget(question)
        self._breaker.leave(question.round)

    def _forget(self, question: Question) -> None:
        if self._under_way.get(question.key) is question:
            del self._under_way[question.key]

    async def _call(self, call: Call) -> None:
        """One call, from its questions to their answers; it never raises, and no question is left over."""
        self._counts["calls"] += 1
        began = self.loop.time()
        for question in call.questions:
            question.sent = began
        # One timer for two ends: most calls reach neither.
        call.timer = self.loop.call_at(began + call.line.wait, self._overdue, call)
        answers: Sequence[Any] | CallError | None = None
        try:
            answers = await self._answers(call)
        finally:
            call.timer.cancel()
            self._calls.discard(call)
            self._spent += self.loop.time() - began
            if answers is None:  # cancelled, and if not by close then most likely because the loop ends
                self._failed(call, CLOSED)
                self.loop.call_later(0.1, self._pump)
            else:
                if isinstance(answers, CallError):
                    self._failed(call, answers)
                else:
                    self._answered(call, answers)
                self._pump()

    def _overdue(self, call: Call) -> None:
        """Whoever asked first has given up. The call goes on to its own end: the answer may be of use yet."""
        self._judge(call, False)
        call.timer = self.loop.call_later(self._seconds(call.line) - call.line.wait, self._expire, call)

    def _expire(self, call: Call) -> None:
        assert call.task is not None
        call.expired = True
        call.task.cancel()

    def _seconds(self, line: Line) -> float:
        """How long a call may take: a policy that waits longer than the target's timeout means it."""
        return max(self.target.timeout / 1e6, line.wait)

    async def _answers(self, call: Call) -> list[Any] | CallError:
        asked = [q.text for q in call.questions]
        try:
            answers = await self.transport.call(call.line.spec.name, asked)
        except CallError as error:
            return error
        except asyncio.CancelledError:
            assert call.task is not None
            if call.expired:
                within = spell_duration(round(self._seconds(call.line) * 1e6))
                return CallError("failed", f"no answer within {within}")
            if call.task.cancelling():
                raise
            return CallError("failed", "the call was cancelled")
        except Exception:
            return CallError("failed", "the call failed")
        if len(answers) != len(asked):
            return CallError("invalid", f"{len(answers):,} answers to {len(asked):,} questions")
        return answers

    # ------------------------------------------------------------------ answering

    def _failed(self, call: Call, error: CallError) -> None:
        self._judge(call, False)
        answer = self._answer(error.status, error.reason)
        for question in call.questions:
            self._forget(question)
            for waiter in question.waiters:
                self._settle(waiter, answer)

    def _answered(self, call: Call, answers: Sequence[Any]) -> None:
        line, now = call.line, self.loop.time()
        self._judge(call, True)
        for question, given in zip(call.questions, answers, strict=True):
            answer = self._read(line, given)
            self._forget(question)
            if answer.status == "answered" and answer.value is not None:
                self._cache.put(question.key, answer.value, now)
            for waiter in question.waiters:
                self._settle(waiter, answer)
                if waiter.late and answer.status == "answered" and self._on_late is not None:
                    self._tell_late(line.spec, waiter, answer.value)

    def _read(self, line: Line, given: Any) -> Answer:
        if given is None:
            return self._answer("answered", "answered that it cannot tell")
        try:
            value, wrong = line.read(given)
            without = "" if wrong else left_out(line.spec, given)
        except Exception:  # values of a function's own classes can do anything when looked at
            value, wrong, without = None, "answered something that cannot be read", ""
        if wrong:
            return Answer("invalid", value, f"{self.target.name}: {wrong}")
        return Answer("answered", value, f"{self.target.name}: {without}" if without else "")

    def _tell_late(self, spec: RemoteSpec, waiter: Waiter, value: Any) -> None:
        assert self._on_late is not None
        try:
            self._on_late(spec, waiter.request, value, waiter.token)
        except Exception as error:
            self.loop.call_exception_handler(
                {"message": f"what takes late answers of {self.target.name} failed", "exception": error}
            )

    def _settle(self, waiter: Waiter, answer: Answer) -> None:
        if waiter.timer is not None:
            waiter.timer.cancel()
        self._resolve(waiter.future, answer)

    def _resolve(self, future: asyncio.Future[Answer], answer: Answer) -> None:
        if not future.done():
            self._counts[answer.status] += 1
            future.set_result(answer)

    def _answer(self, status: Status, reason: str) -> Answer:
        return Answer(status, None, f"{self.target.name}: {reason}")

    def _open(self) -> Answer:
        return self._answer("open", "not asked, it failed too often lately")

    def _judge(self, call: Call, good: bool) -> None:
        """Tell the breaker how a call went, being overdue included. When it opens, what waits in line is not
        asked either."""
        if call.judged:
            return
        call.judged = True
        if self._breaker.outcome(call.questions[0].round, good, self.loop.time()):
            self._empty(self._open())

    def _empty(self, answer: Answer) -> None:
        for line in self._lines.values():
            for question in list(line.questions.values()):
                self._drop(question)
                for waiter in question.waiters:
                    self._settle(waiter, answer)

    # ------------------------------------------------------------------ the end

    def stop(self) -> list[asyncio.Task[None]]:
        """Tell whoever still waits and stop every call; gives what is left to end of them."""
        self._empty(self._answer("failed", CLOSED.reason))
        calls = list(self._calls)
        for call in calls:  # told here, as a call that has not begun yet never will
            self._failed(call, CLOSED)
        tasks = [call.task for call in calls if call.task is not None]
        for task in tasks:
            task.cancel()
        self._calls.clear()
        return tasks

    def figures(self) -> Figures:
        """What became of the questions so far."""
        told = ("asked", "answered", "cached", "late", "failed", "invalid", "open", "busy", "calls")
        counts = {name: self._counts[name] for name in told}
        state = self._breaker.state(self.loop.time())
        return Figures(
            **counts,
            in_flight=len(self._calls),
            waiting=self._waiting,
            breaker=state,
            seconds=self._spent,
        )
