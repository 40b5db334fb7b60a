"""What a backtest and a comparison say, as plain data: `msgspec.to_builtins` makes it JSON.

Times are ISO 8601 text in UTC, shares are between 0 and 1, and lists over time have one number for each
bucket of `Timeline`. What cannot be told is None, never zero.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from quell.engine.explanation import Outcome as RuleOutcome

Outcome = Literal["fired", "shadow", "held"]


class Rate(msgspec.Struct, frozen=True):
    """`hits` in `of` trials, with the 95 % Wilson interval; `value` is None without trials."""

    hits: int
    of: int
    value: float | None
    low: float
    high: float


class Quality(msgspec.Struct, frozen=True, omit_defaults=True):
    """How well what was caught agrees with the labels. Events without a label enter no rate.

    `caught` has a label true (`right`) or false (`wrong`), or none (`unlabelled`); `missed` are the positives
    that were not caught, `spared` the negatives. The `volume_…` figures weigh each event by a number field.
    """

    right: int
    wrong: int
    unlabelled: int
    missed: int
    spared: int
    precision: Rate
    recall: Rate
    false_positives: Rate
    volume_precision: float | None = None
    volume_recall: float | None = None
    volume_false_positives: float | None = None
    early: int | None = None
    """How many of the right ones came before the label was known, None where the labels do not tell."""


class Near(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule that did not catch an event, and how near it came: of the `of` parts of its condition that count
    `holds` hold, and `why` says what the others are. A rule whose `outcome` is `held` or `shadow` matched;
    then `why` says what held it back."""

    rule: str
    outcome: RuleOutcome
    holds: int = 0
    of: int = 0
    why: tuple[str, ...] = ()


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event to look at. `n` is its place in the replay, `place` that in the history's files, `command`
    the `quell explain` that tells all of it. `explanation` is `quell.engine.explanation.Explanation` as
    builtins."""

    n: int
    place: str
    event: str
    at: str
    verdict: str
    id: str | None = None
    entity: str | None = None
    message: str | None = None
    """What a rule said that asked for the verdict."""
    rules: tuple[str, ...] = ()
    label: bool | None = None
    command: str = ""
    explanation: dict[str, Any] | None = None
    before: str | None = None
    """In a comparison: the verdict of the other bundle."""
    other: dict[str, Any] | None = None
    """In a comparison: the other bundle's explanation."""
    because: str | None = None
    """What the rule said that this is a sample of."""
    near: tuple[Near, ...] = ()
    """Of a positive that was let through: the rules that came nearest to catching it."""


class RuleRow(msgspec.Struct, omit_defaults=True):
    """One rule over the history.

    `events` are those it was asked about. `fired` of a shadow rule is how often it would have. `only` are the
    events on which no other live rule fired. `entities` are the different principal entities it fired on.
    `missing` is how often its condition was missing, None where that was not looked at, `sampled` that it was
    looked at on some events only and scaled up. `cost` is its share of what all rules are expected to cost.
    """

    rule: str
    mode: Literal["live", "shadow"]
    place: str
    events: int
    fired: int
    rate: float
    held: int
    entities: int
    only: int
    missing: int | None
    cost: float
    over_time: list[int]
    verdict: str = ""
    tags: list[str] = []
    owner: str | None = None
    severity: str | None = None
    because: str | None = None
    text: str = ""
    sampled: bool = False
    volume: float | None = None
    quality: Quality | None = None
    samples: list[Sample] = []


class VerdictRow(msgspec.Struct, omit_defaults=True):
    """One verdict: how often it was given, over time, and how well (caught: this verdict or a higher one)."""

    verdict: str
    count: int
    share: float
    over_time: list[int]
    volume: float | None = None
    quality: Quality | None = None


class Timeline(msgspec.Struct, frozen=True):
    """The buckets of time: where each begins, how long they are in seconds, the events in each."""

    starts: list[str]
    seconds: int
    events: list[int]


class Overlap(msgspec.Struct, frozen=True):
    """Two rules that fired on the same events: on how many, and that as a share of each one's."""

    a: str
    b: str
    both: int
    of_a: float
    of_b: float


class FieldCoverage(msgspec.Struct, frozen=True):
    """How often a declared field has a value. `sampled` where only some events were looked at."""

    event: str
    field: str
    type: str
    present: int
    of: int
    wrong: int
    read: bool
    sampled: bool = False


class RefusedKind(msgspec.Struct, frozen=True):
    """Events that could not be taken for one reason, with some of them."""

    kind: str
    count: int
    samples: list[tuple[str, str]]
    """Place and message."""


class Source(msgspec.Struct, omit_defaults=True):
    """The history: its files, and what was in them. `order` is how it was put in order; `late` counts the
    events that came after later ones, in the order of the files. `journals` are how many of the files are
    journals, and `versions`, where the history is one, the digests of the policies that decided in service,
    by the version's number."""

    files: list[str]
    records: int
    events: int
    by_type: dict[str, int]
    hands: int
    refused: int
    problems: int
    order: str
    late: int
    refusals: list[RefusedKind] = []
    coverage: list[FieldCoverage] = []
    first: str | None = None
    last: str | None = None
    journals: int = 0
    versions: dict[int, str] = {}


class Warmup(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of the history in which windows were not full yet. `longest` is the longest window with an end
    that is read, as the language spells it (`ever` where there is none, empty where nothing is counted), and
    `until` when it was full (None: never in this history, then `whole` is false). `events` is how many came
    before, `left_out` that the figures leave them out, `ever` that a counter also reads for ever, which no
    history fills."""

    longest: str
    events: int
    left_out: bool
    until: str | None = None
    whole: bool = True
    ever: bool = False


class Way(msgspec.Struct, frozen=True):
    """Which way a part of the policies was replayed: `sql`, `python` (over batches or distinct values),
    `store` (a counter's own store, row by row), `settled` (effects of the events that rules matched),
    `stepped` (the online engine, event by event); and why."""

    part: str
    way: Literal["sql", "python", "store", "settled", "stepped"]
    why: str


class CurvePoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one setting of a constant buys: `hits` are the events on which the rule would fire, `newly` and
    `no_longer` those that the setting in the policy does not hit, or does. `entities` is None where the
    events have none. `text` is the value as the policy would have it; durations are in seconds."""

    value: float
    hits: int
    entities: int | None
    quality: Quality | None = None
    text: str = ""
    newly: int = 0
    no_longer: int = 0


class Curve(msgspec.Struct, frozen=True, omit_defaults=True):
    """A threshold of a rule, and what other settings would bring. `current` is what stands in the policy;
    `compared` the text of the comparison it stands in. `of` are the events the rule was asked about, `more`
    says whether lower or higher values hit more, "" where neither."""

    rule: str
    compared: str
    place: str
    current: float
    points: list[CurvePoint]
    unit: Literal["number", "percent", "duration"] = "number"
    text: str = ""
    of: int = 0
    more: Literal["lower", "higher", ""] = ""
    inside: str | None = None
    """The declaration that holds the constant, such as `let newcomer`, where it is not the rule's own."""
    readers: list[str] = []
    """The other rules that read it there."""


class GridPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one setting of two constants buys; as `CurvePoint`."""

    values: tuple[float, float]
    hits: int
    entities: int | None
    quality: Quality | None = None
    texts: tuple[str, str] = ("", "")
    newly: int = 0
    no_longer: int = 0


class Grid(msgspec.Struct, frozen=True):
    """Two thresholds of a rule swept together; `axes` are their curves, each with the other as it stands.
    `points` go through the second one's values for each of the first one's."""

    rule: str
    axes: tuple[Curve, Curve]
    points: list[GridPoint]


class Labelled(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where labels came from and how many events have one."""

    text: str
    positive: int
    negative: int
    unlabelled: int
    volume: str | None = None


class Backtest(msgspec.Struct, omit_defaults=True):
    """What a bundle would have done on a history."""

    bundle: str
    policies: str
    version: str
    source: Source
    timeline: Timeline
    verdicts: list[VerdictRow]
    rules: list[RuleRow]
    overlaps: list[Overlap]
    warmup: Warmup
    ways: list[Way]
    seconds: float
    events: int = 0
    """The events that the figures are of: all, or those of the period asked for, or after the warm-up."""
    quiet: list[str] = []
    """Rules that never fired."""
    sends: dict[str, int] = {}
    labels_set: dict[str, int] = {}
    labelled: Labelled | None = None
    weighed: str | None = None
    """The number that the `volume` of verdicts and rules adds up."""
    curves: list[Curve] = []
    remote: dict[str, int] = {}
    """For each remote model that decisions ask, how many of its answers were taken from a journal."""
    notes: list[str] = []
    """Sentences that a reader must know: what was stepped, what was missing, what is left out."""
    gates: list[Gate] = []
    """What `--fail-if` asked of this backtest alone; those of a comparison stand there."""
    unrecorded: dict[str, int] = {}
    """Over a journal, how many questions to remote models it has no answer to, so that they are missing."""
    missed: int = 0
    """Events with a positive label that got the mildest verdict."""
    samples_missed: list[Sample] = []


# ------------------------------------------------------------------------------------------- tuning


class ConstantRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A constant of a rule that can be swept. `without` is how many more events the rule would hit if the
    comparison were as loose as can be, None where that was not looked at."""

    number: int
    text: str
    compared: str
    place: str
    unit: Literal["number", "percent", "duration"]
    swept: bool
    inside: str | None = None
    readers: list[str] = []
    without: int | None = None


class FixedRow(msgspec.Struct, frozen=True):
    """A constant that is not swept, and why."""

    text: str
    compared: str
    place: str
    why: str


class Proposal(msgspec.Struct, frozen=True, omit_defaults=True):
    """An edit of the policies: for each constant by its number the new text, why, and the unified diff.
    `warnings` are what the linter says of the edited policies only."""

    values: dict[int, str]
    why: str
    diff: str
    cautions: list[str] = []
    warnings: list[str] = []
    written: bool = False


class Tuning(msgspec.Struct, omit_defaults=True):
    """What other values of a rule's constants would hit. `of` are the events the rule was asked about."""

    bundle: str
    policies: str
    version: str
    rule: str
    mode: Literal["live", "shadow"]
    files: list[str]
    events: int
    of: int
    constants: list[ConstantRow]
    fixed: list[FixedRow]
    seconds: float
    curve: Curve | None = None
    grid: Grid | None = None
    labelled: Labelled | None = None
    goal: str | None = None
    advice: str | None = None
    proposal: Proposal | None = None
    notes: list[str] = []


# --------------------------------------------------------------------------------- what a change changes


class RuleChange(msgspec.Struct, omit_defaults=True):
    """One rule in both bundles. `status` is `same`, `changed`, `new`, `gone` or `renamed` (then `was` is its
    old name). `newly` and `no_longer` count events on which it fires in one bundle only."""

    rule: str
    status: Literal["same", "changed", "new", "gone", "renamed"]
    before: int
    after: int
    newly: int
    no_longer: int
    entities_newly: int = 0
    was: str | None = None
    changed: list[str] = []
    """What of it is written otherwise: condition, effects, mode, rollout, message."""
    over_time: list[int] = []
    """After minus before."""
    before_quality: Quality | None = None
    after_quality: Quality | None = None
    samples_newly: list[Sample] = []
    samples_no_longer: list[Sample] = []
    mode_before: str = ""
    """`live`, `shadow` or `off`; empty where that bundle has no such rule. What a shadow rule would have done
    counts as its firings, unless the rule is live in the other bundle."""
    mode_after: str = ""


class CounterChange(msgspec.Struct, frozen=True):
    """A counter that only one bundle has, or that looks back `longer` than before. When the change goes live
    without being filled from a journal, it is cold for as long as `cold` says: its longest window, empty
    where it is gone, `always` where it counts for ever and so never sees what was before."""

    counter: str
    status: Literal["new", "gone", "longer"]
    window: str
    cold: str


class Flow(msgspec.Struct, frozen=True):
    """How many events went from one verdict to another."""

    before: str
    after: str
    count: int
    volume: float | None = None


class Gate(msgspec.Struct, frozen=True):
    """A `--fail-if`: its text, the figure as it came out, and whether it fails."""

    text: str
    value: float | None
    failed: bool
    shown: str


class Differences(msgspec.Struct, frozen=True):
    """On how many events decisions differ, in all (`events`) and by what differs.

    `rules` fired in one bundle only, or asked for another verdict; `names` are those on which a rule matched
    that is called otherwise or carries other tags or another severity, and nothing else need differ;
    `shadow` is what rules in shadow would have done; `refused` are events that only one bundle takes, or that
    are refused with other words. `newly_hit` and `no_longer_hit` are events on which some live rule fires in
    one bundle only.
    """

    events: int = 0
    verdict: int = 0
    rules: int = 0
    names: int = 0
    messages: int = 0
    labels: int = 0
    sends: int = 0
    held: int = 0
    shadow: int = 0
    refused: int = 0
    newly_hit: int = 0
    no_longer_hit: int = 0


class Comparison(msgspec.Struct, omit_defaults=True):
    """What a change of policies changes on a history. `before` is the other bundle, `after` this one."""

    before: Backtest
    after: Backtest
    flows: list[Flow]
    changed: int
    """Events whose verdict is another."""
    harsher: int
    milder: int
    rules: list[RuleChange]
    counters: list[CounterChange] = []
    newly_caught: list[Sample] = []
    newly_let_go: list[Sample] = []
    looks_different: list[str] = []
    """What is written otherwise and decides the same: renames, messages, owners."""
    gates: list[Gate] = []
    same: bool = False
    """Nothing at all differs in any decision."""
    events: int = 0
    """Events that both bundles decide. Flows, `changed`, `harsher` and `milder` are of these."""
    differences: Differences = Differences()
    caught: int = 0
    """Events that got the first verdict of their ladder before and another one after."""
    let_go: int = 0
    """Events that got another verdict than the first before and the first one after."""
    caught_labels: tuple[int, int] | None = None
    """Of `caught`, how many have a positive and how many a negative label; None without labels."""
    let_go_labels: tuple[int, int] | None = None
    newly_refused: int = 0
    no_longer_refused: int = 0
    ladder: list[str] = []
    """Verdicts in order, the mildest first: those of this bundle, and what only the other one has where it
    stood there."""
    against: str = ""
    """What was compared with, in words, such as `main (1a2b3c4)`."""
    notes: list[str] = []
    """Sentences that a reader must know: verdicts that cannot be ordered, uncommitted changes."""
