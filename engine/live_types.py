"""What the live page is told, as plain data: the JSON of `/v1/live` and of what stands beneath it.

Times are microseconds since 1970 UTC by the server's clock, except where a field says seconds; `at` is an
event's own time. Texts out of events are cut to `CUT` characters.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from quell.engine.service_types import VersionInfo

CUT = 300
"""Characters of an id, a message or a name of an event that a summary holds."""

Kind = Literal["decision", "by hand", "refused"]
"""What an answer is: a decision, a label by hand, or a refusal."""


class Rung(msgspec.Struct, frozen=True):
    """A verdict of the bundle, and how grave it is among those of its ladder: 0 for the first, 8 for the
    last."""

    verdict: str
    level: int


class Line(msgspec.Struct, frozen=True, array_like=True):
    """Counts of one series, one for each slot of time from the slot number `first` on; what lies outside is
    0."""

    first: int
    counts: list[int]


class Span(msgspec.Struct, frozen=True):
    """Counts over time: `slots` slots of `step` seconds, the first of which begins at `start` (seconds since
    1970). Series without any count in it are left out. `fired` and `shadow` are by rule: firings of live
    rules, and those that shadow rules keep for the record."""

    start: int
    step: int
    slots: int
    verdicts: dict[str, Line]
    fired: dict[str, Line]
    shadow: dict[str, Line]
    refused: Line | None
    by_hand: Line | None


class Totals(msgspec.Struct, frozen=True):
    """What there was since counts reach back: decisions by verdict, refusals by kind, labels by hand."""

    verdicts: dict[str, int]
    refused: dict[str, int]
    by_hand: int


class Latency(msgspec.Struct, frozen=True):
    """How long the newest decisions took, waiting included, in seconds: of `of` decisions half took no longer
    than `p50`, and so on."""

    of: int
    p50: float
    p95: float
    p99: float


class Entity(msgspec.Struct, frozen=True):
    """An entity that an event names: the field that does, the entity's kind, its id."""

    field: str
    kind: str
    id: str


class Summary(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer in a line.

    `number` is its place among the answers that are kept; it is 0 where the answer was looked up in the
    journal. `seconds` is 0 where it is not known, as the journal does not say it. `seq` is the decision's
    own, 0 for a refusal. `level` is how grave the verdict is, from 0 to 8, or -1 where no version of the
    bundle that is known has it. Of rules (the gravest first) and entities the first few stand here; `more_…`
    says how many are left out. `notes` counts what the decision says of itself: values of the wrong kind,
    late, full and cold counters, models that did not answer. `message` says why an event was refused, or what
    a person did.
    """

    number: int
    kind: Kind
    wall: int
    seconds: float
    version: int
    verdict: str = ""
    level: int = 0
    seq: int = 0
    at: int = 0
    event: str = ""
    id: str = ""
    entities: list[Entity] = []
    more_entities: int = 0
    fired: list[str] = []
    more_fired: int = 0
    shadow: list[str] = []
    more_shadow: int = 0
    held: int = 0
    labels: int = 0
    sends: int = 0
    notes: int = 0
    message: str = ""


class Past(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the answers from before the server started: `none` were asked for; they are being read
    out of the journal, were `read`, or that `failed`. `problem` says what is missing, and why."""

    state: Literal["none", "reading", "read", "failed"]
    problem: str = ""


class LiveUpdate(msgspec.Struct, frozen=True):
    """What happened since the caller last asked.

    `since` is what to ask with next: the seconds given then begin there. `started` tells one server process
    from the next, whose counts begin anew; `counted` is since when counts count, which is before where the
    `past` was read out of the journal, refusals left out, as it holds none. `told` is the number of the
    newest answer; `kept` answers can be looked at and searched, the `oldest` of them from then; `decisions`
    are the newest. `former` are verdicts that only earlier versions of the bundle know.
    """

    wall: int
    started: int
    counted: int
    past: Past
    since: int
    told: int
    kept: int
    oldest: int | None
    bundle: str
    digest: str
    ladder: list[Rung]
    former: list[Rung]
    seconds: Span
    minutes: Span
    totals: Totals
    latency: Latency | None
    decisions: list[Summary]


class Edit(msgspec.Struct, frozen=True):
    """Which version of the bundle changed a rule last, when, by whom, and in which words. Where no version
    did, it is the first that is known, and `change` is empty."""

    version: int
    at: int
    by: str
    change: str


class RuleRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule and how often it fired: in the last minute (60 seconds), the last hour (this minute and the 59
    before), and since counts reach back (`total`). For a shadow rule its firings for the record are counted,
    for every other those that took effect. `held` is how often in the last hour a rollout or an exemption
    held it back, `of` how many decisions there were in that hour on its events. `last` is when it last fired.

    A rule that is `gone` fired and is no longer in the bundle.
    """

    name: str
    mode: str
    events: list[str]
    minute: int
    hour: int
    total: int
    held: int
    of: int
    last: int | None = None
    owner: str | None = None
    severity: str | None = None
    tags: list[str] = []
    does: list[str] = []
    verdict: str = ""
    level: int = 0
    rollout: float | None = None
    place: str = ""
    edited: Edit | None = None
    gone: bool = False


class Rules(msgspec.Struct, frozen=True):
    """The rules of the bundle, by name, as of `wall`, and since when their hits are counted."""

    wall: int
    counted: int
    rules: list[RuleRow]


class RuleText(msgspec.Struct, frozen=True):
    """A rule as it is written: the comment above it and its source, with the place of its first line."""

    name: str
    place: str
    doc: str
    source: str


class Found(msgspec.Struct, frozen=True):
    """What a search found, newest first: `searched` answers were looked through, the oldest of them from
    `oldest` (None where none is kept). With `more` the search went no further than the answers that it was
    asked for; `before` is where to go on."""

    decisions: list[Summary]
    searched: int
    oldest: int | None
    more: bool
    before: int


class EventText(msgspec.Struct, frozen=True):
    """An event as it came, laid out for reading where it is JSON; `bytes` is its size, and `cut` says that
    only the beginning stands here."""

    text: str
    json: bool
    bytes: int
    cut: bool


class LiveStatus(msgspec.Struct, frozen=True):
    """How the service stands as of `wall`: the versions of the bundle, the newest last, how many decisions
    wait for remote answers, and what the service says of itself."""

    wall: int
    versions: list[VersionInfo]
    waiting: int
    service: Any


class Detail(msgspec.Struct, frozen=True):
    """One answer whole: its summary, every entity that the event names, and the reply itself as it was
    given, with the `ladder` that its verdicts stand on. `explained`: there is more to be asked for, its
    explanation."""

    summary: Summary
    entities: list[Entity]
    reply: Annotated[msgspec.Raw, msgspec.Meta(description="A Decision, an Acted or a Refused.")]
    explained: bool
    ladder: list[Rung]
