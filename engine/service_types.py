"""What the parts of the service tell one another: entries of the journal, versions of a bundle, reloads."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from quell.engine.carry import SnapshotReport
from quell.engine.decision import Reply

Kind = Literal["event", "admitted", "decided", "acted", "version", "filled"]
"""What an entry of the journal says.

======== ==============================================================================================
event    an event that was decided at once, with its decision
admitted an event that was counted and waits for remote answers; its decision follows as `decided`
decided  the decision of an event that waited
acted    a label by hand, with what came of it
version  from here on another version of the bundle decides
filled   from here on counters that a version brought remember what the journal says of before
======== ==============================================================================================
"""


class Entry(NamedTuple):
    """One entry of the journal, in the order in which things took effect.

    `seq` numbers the admission and `decided` the moment of the decision (equal where it was made at once, 0
    while it waits); a `version` stands after the last number of the version before. `at` is the event's time
    and `wall` the server's clock when it was written, microseconds since 1970; the clock decides nothing.
    `version` is the number of the bundle's version in versions/. `event` is the event as JSON, as it came
    (empty for `decided`, `version` and `filled`); `reply` the Decision or Acted as JSON (empty for
    `admitted`), for a `version` its VersionInfo, for `filled` a Filled. `key` is the digest of the
    Idempotency-Key that the event came under, 16 bytes, or empty.
    """

    kind: Kind
    seq: int
    decided: int
    at: int
    version: int
    wall: int
    event: bytes
    reply: bytes
    key: bytes = b""


class Note(NamedTuple):
    """One answer of the service, for whoever watches: `wall` the server's clock in microseconds since 1970,
    `seconds` how long it took (waiting included), `version` the number of the version that decided, the
    event as it came and the reply."""

    wall: int
    seconds: float
    version: int
    event: bytes
    reply: Reply


class VersionInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of the bundle that was live or was to be: its `number` (1, 2, …), `digest` (what
    `Build.version` says), when (`at`, microseconds since 1970 by the server's clock), `by` whom and `why`
    (`start`, `files changed`, `asked for`, `put back`), and what `changed` against the version before, a line
    each."""

    number: int
    digest: str
    at: int
    by: str
    why: str
    changed: tuple[str, ...] = ()


class Filled(msgspec.Struct, frozen=True, omit_defaults=True):
    """Counters that were filled from the journal: their names, the `file` in fills/ that holds what they
    remember, and the number of the first entry that was counted."""

    counters: tuple[str, ...]
    file: str
    first: int = 0


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One error of a bundle, or one test that failed: where, what, and what to try."""

    file: str
    line: int
    message: str
    code: str = ""
    hint: str = ""


class ReloadOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one attempt to take another version of the bundle.

    `live`: it decides now, and `state` says what was kept. `unchanged`: it is the one that decides already.
    `refused`: nothing changed, `findings` say why (the first of `errors` in number). `failed`: nothing
    changed, as the policies could not be checked; `findings` say what happened. `seconds` is how long
    it took in all, `held` how long admissions were held up meanwhile.
    """

    result: Literal["live", "unchanged", "refused", "failed"]
    at: int
    by: str
    why: str
    version: VersionInfo | None = None
    findings: tuple[Finding, ...] = ()
    errors: int = 0
    state: SnapshotReport | None = None
    seconds: float = 0.0
    held: float = 0.0
