"""A simulated day of a community platform, with ground truth, for demonstrations, tests and benchmarks.

`simulate` gives the events in order of time; `describe` says which campaigns and traps are in them. The
day is a function of its arguments alone: the same on every machine and Python from 3.11.

Every event carries `truth`: ``{"label": "benign"|"abuse", "kind": …, "campaign": …}``. No policy may read
it; it is what their decisions are judged by (`quell.replay.quality`). Kinds of abuse are in
`ABUSE_KINDS`; a benign `trap_…` is what hasty rules stumble over; a benign event with a campaign led up
to abuse (a raider's join) or is one of the `MALFORMED` events no server should accept.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

import msgspec

from quell.replay.simulate_campaigns import Campaign, Script, plan_abuse
from quell.replay.simulate_text import BIOS, EMOJI, LINK_INTRO, SHORT, Dice, Weighted, link, person, sentence
from quell.replay.simulate_traps import plan_newcomers, plan_traps
from quell.replay.simulate_words import CODE
from quell.replay.simulate_world import (
    DAY_MINUTES,
    MS_PER_DAY,
    MS_PER_MINUTE,
    Channel,
    Event,
    Member,
    Server,
    World,
    build_world,
    direct_message,
    iso,
    member_join,
    message,
    newcomer,
    parse_start,
    profile_update,
    report,
    snowflake,
)

DEFAULT_SEED = 7
DEFAULT_EVENTS = 210_000
DEFAULT_START = "2026-03-02T00:00:00Z"
FEWEST_EVENTS = 8_000
"""A day needs this many events to hold one campaign of every kind beside ordinary life."""

MALFORMED = 20
"""How many events of each day are broken: a bad time, a missing id, a value of the wrong type."""

ABUSE_KINDS = (
    "link_spam",
    "mention_raid",
    "dup_flood",
    "velocity",
    "impersonation",
    "disposable_signup",
    "slur",
    "slow_scam",
)

_Step = tuple[int, int, Event]

_SERVER_MINUTES = 10
"""Which server is how busy is worked out anew this often."""


def simulate(
    seed: int = DEFAULT_SEED, events: int = DEFAULT_EVENTS, start: str = DEFAULT_START
) -> Iterator[Event]:
    """The day's events in order of time, exactly `events` of them, as JSON-ready dicts.

    `start` is the first instant, ISO 8601 with an offset; the day lasts 24 hours. Dicts inside events
    (authors, truths) are shared between events: read them, do not change them. Raises ValueError at once
    for fewer than `FEWEST_EVENTS` events or a start that cannot be used.
    """
    script = _plan(seed, events, start)
    return _stream(script, seed, events)


def simulate_lines(
    seed: int = DEFAULT_SEED, events: int = DEFAULT_EVENTS, start: str = DEFAULT_START
) -> Iterator[bytes]:
    """The day as JSON lines: UTF-8, each ending in a newline. Arguments and errors as in `simulate`."""
    script = _plan(seed, events, start)
    encode = msgspec.json.Encoder().encode
    return (encode(event) + b"\n" for event in _stream(script, seed, events))


def describe(
    seed: int = DEFAULT_SEED, events: int = DEFAULT_EVENTS, start: str = DEFAULT_START
) -> list[Campaign]:
    """The campaigns and traps of the day that `simulate` gives for the same arguments, by start."""
    return sorted(_plan(seed, events, start).campaigns, key=lambda c: (c.start, c.name))


def _plan(seed: int, events: int, start: str) -> Script:
    if events < FEWEST_EVENTS:
        raise ValueError(f"a simulated day has at least {FEWEST_EVENTS:,} events, not {events:,}")
    script = Script(build_world(seed, events, parse_start(start)), seed, events)
    plan_abuse(script)
    plan_traps(script)
    plan_newcomers(script)
    room = events - MALFORMED
    if len(script.steps) > room:
        raise ValueError(
            f"the campaigns alone have {len(script.steps):,} events; ask for more than {events:,}"
        )
    return script


def _stream(script: Script, seed: int, events: int) -> Iterator[Event]:
    everyday = events - MALFORMED - len(script.steps)
    broken = _malformed(script.world, Dice(seed, 3))
    planned = sorted(script.steps + broken, key=lambda step: step[:2])
    ordinary = _everyday(script.world, Dice(seed, 2), everyday)
    for serial, (t, _, event) in enumerate(merge(planned, ordinary, key=lambda step: step[0])):
        number = snowflake(t, serial)
        if event.get("id") == 0:
            event["id"] = number
        yield event


def _everyday(world: World, dice: Dice, total: int) -> Iterator[_Step]:
    """Ordinary life: `total` events spread over the day as people are awake."""
    rnd = dice.random
    loads = [
        sum(s.load(minute) for s in world.servers) * dice.between(85, 115) for minute in range(DAY_MINUTES)
    ]
    whole, before, seen = sum(loads), 0, 0
    servers = Weighted(world.servers, [s.load(0) for s in world.servers])
    for minute, load in enumerate(loads):
        if minute % _SERVER_MINUTES == 0:
            servers = Weighted(world.servers, [s.load(minute) for s in world.servers])
        seen += load
        now = total * seen // whole
        begin = world.start + minute * MS_PER_MINUTE
        hour = minute // 60
        for offset in sorted([int(rnd() * MS_PER_MINUTE) for _ in range(now - before)]):
            t = begin + offset
            server = servers.pick(dice)
            member = _awake(server, dice, hour)
            roll = rnd()
            if roll >= 0.90:
                yield t, 0, _other(world, dice, t, server, member, roll)
                continue
            channel = server.talk.pick(dice)
            event = _chat(dice, t, server, channel, member)
            yield t, 0, event
            channel.last = event["id"]
        before = now


def _awake(server: Server, dice: Dice, hour: int) -> Member:
    """A member of the server who is about at this UTC hour; after three tries, somebody who should sleep."""
    member = server.crowd.pick(dice)
    for _ in range(2):
        if member.active >> hour & 1:
            break
        member = server.crowd.pick(dice)
    return member


def _chat(dice: Dice, t: int, server: Server, channel: Channel, member: Member) -> Event:
    """One message of a conversation: those who spoke lately are likelier to speak again."""
    rnd = dice.random
    recent = channel.recent
    if recent and rnd() < 0.55:
        member = recent[int(rnd() * len(recent))]
    else:
        recent.append(member)
        if len(recent) > 5:
            del recent[0]
    reply_to, mentions = 0, None
    style = rnd()
    if style < 0.12 and channel.last:
        reply_to = channel.last
        mentions = [recent[0].id] if recent[0] is not member else None
    elif style < 0.16:
        mentions = [recent[0].id]
    content = _words(dice, server, member)
    if mentions:
        content = f"<@{mentions[0]}> {content}"
    attachments = 1 + int(rnd() * 3) if channel.kind == "media" and rnd() < 0.5 else 0
    return message(
        t, server, channel, member, content, mentions=mentions, attachments=attachments, reply_to=reply_to
    )


def _words(dice: Dice, server: Server, member: Member) -> str:
    language, roll = member.language, dice.random() * 100
    if roll < member.short:
        text = dice.pick(SHORT[language])
    elif roll >= 100 - member.links:
        text = f"{dice.pick(LINK_INTRO[language])} {link(dice)}"
    elif server.topic == "coding" and roll > 85:
        text = f"{sentence(dice, language, 'coding')}\n{dice.pick(CODE)}"
    else:
        text = sentence(dice, language, server.topic)
        if dice.random() < 0.15:
            text = f"{text}. {sentence(dice, language, server.topic)}"
    if dice.random() * 100 < member.emoji:
        text = f"{text} {dice.pick(EMOJI)}"
    return text


def _other(world: World, dice: Dice, t: int, server: Server, member: Member, roll: float) -> Event:
    """What is not a message in a channel: letters between friends, moves, new names, reports."""
    if roll < 0.965:
        friends = world.members
        at = member.id * 31 + dice.below(member.friends + 1) * 104_729
        return direct_message(
            t, member, friends[at % len(friends)].id, sentence(dice, member.language, "general")
        )
    if roll < 0.985:
        return member_join(t, server, member)
    if roll < 0.993:
        return profile_update(t, member, person(dice, member.language), dice.pick(BIOS))
    return report(
        t,
        member,
        dice.pick(server.members).id,
        dice.pick(("off topic", "rude", "spam?", "too many pings", "nsfw")),
    )


def _malformed(world: World, dice: Dice) -> list[_Step]:
    """Events as broken clients and half-finished migrations send them."""
    truth = {"label": "benign", "kind": "", "campaign": "malformed"}
    steps: list[_Step] = []
    for i in range(MALFORMED):
        t = world.start + i * (MS_PER_DAY // MALFORMED) + dice.below(MS_PER_DAY // MALFORMED)
        server = dice.pick(world.servers)
        member = newcomer(dice, world, t - 40 * MS_PER_DAY, "en")
        event = message(t, server, server.channel("general"), member, sentence(dice, "en", "general"), truth)
        _break(event, i, t)
        steps.append((t, len(steps) - MALFORMED, event))
    return steps


def _break(event: Event, how: int, t: int) -> None:
    match how % 8:
        case 0:
            event["created_at"] = "yesterday"
        case 1:
            del event["id"]
        case 2:
            event["created_at"] = iso(t)[:10] + "T25:61:00.000Z"
        case 3:
            event["author"] = "somebody"
        case 4:
            del event["created_at"]
        case 5:
            event["guild_id"] = [event["guild_id"]]
        case 6:
            event["author"] = {**event["author"], "id": None}
        case _:
            event["id"] = {"high": 1, "low": 2}
