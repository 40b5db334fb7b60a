"""The platform before the day begins: servers, channels, members and their habits, and how events look.

Ids are snowflakes: milliseconds since 2015 in the high bits, so they grow with time and pass 2**53.
Times are whole milliseconds since 1970 in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from quell.replay import simulate_words as words
from quell.replay.simulate_text import FIRST_NAMES, Dice, Weighted, person

Event = dict[str, Any]

MS_PER_MINUTE = 60_000
MS_PER_HOUR = 3_600_000
MS_PER_DAY = 86_400_000
DAY_MINUTES = 1440
SNOWFLAKE_EPOCH = 1_420_070_400_000  # 2015-01-01
_OLDEST_DAYS = 3440
_FIRST_SERVER = SNOWFLAKE_EPOCH + 1500 * 86_400_000

# Load by local hour, in thousandths of the busiest: asleep at four, at its height at nine in the evening.
_CURVE = (
    520,
    340,
    210,
    130,
    90,
    100,
    150,
    240,
    330,
    400,
    450,
    500,
    560,
    580,
    570,
    600,
    680,
    780,
    860,
    920,
    970,
    1000,
    930,
    730,
)

# How much is said in channels of each kind; the numbered rooms have 8.
_TALK = {"general": 40, "off-topic": 20, "help": 12, "media": 10, "announcements": 0, "moderation": 0}

BENIGN: dict[str, str] = {"label": "benign", "kind": "", "campaign": ""}


def parse_start(start: str) -> int:
    """The first instant of the day in milliseconds. Raises ValueError unless `start` names a UTC offset."""
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        raise ValueError(
            f"start must be an ISO 8601 time such as 2026-03-02T00:00:00Z, not {start!r}"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(f"start must name its offset from UTC, as in {start}Z")
    since = moment - datetime(2015, 1, 1, tzinfo=UTC)
    if since < timedelta(days=_OLDEST_DAYS + 30):
        raise ValueError(
            f"start must not be before July 2024 (accounts are up to ten years older), not {start!r}"
        )
    return SNOWFLAKE_EPOCH + since // timedelta(milliseconds=1)


_minutes: dict[int, str] = {}


def iso(t: int) -> str:
    """`t` (milliseconds) as ISO 8601 with milliseconds and Z."""
    minute, ms = divmod(t, MS_PER_MINUTE)
    head = _minutes.get(minute)
    if head is None:
        if len(_minutes) > 100_000:
            _minutes.clear()
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
        head = _minutes[minute] = moment.strftime("%Y-%m-%dT%H:%M:")
    return f"{head}{ms // 1000:02d}.{ms % 1000:03d}Z"


def snowflake(t: int, serial: int) -> int:
    """The id of something made at `t`; `serial` tells apart what was made in one millisecond."""
    return (t - SNOWFLAKE_EPOCH) << 22 | (serial & 0x3F_FFFF)


@dataclass(slots=True)
class Member:
    """Someone on the platform. `author` is the object their events carry; `active` one bit per UTC hour."""

    author: dict[str, Any]
    language: str
    active: int
    short: int
    links: int
    emoji: int
    friends: int

    @property
    def id(self) -> int:
        """The account's id."""
        number: int = self.author["id"]
        return number


@dataclass(slots=True)
class Channel:
    """A channel: who spoke lately, and the latest messages (for replies)."""

    id: int
    kind: str
    recent: list[Member] = field(default_factory=list)
    last: int = 0


@dataclass(slots=True)
class Server:
    """A server with its channels, members and the people who look after it."""

    id: int
    name: str
    language: str
    topic: str
    ahead: int
    size: int
    channels: list[Channel]
    talk: Weighted[Channel]
    members: list[Member] = field(default_factory=list)
    crowd: Weighted[Member] = field(default_factory=lambda: Weighted([], []))
    moderators: list[Member] = field(default_factory=list)
    bots: list[Member] = field(default_factory=list)

    def channel(self, kind: str) -> Channel:
        """The channel of that kind."""
        return next(c for c in self.channels if c.kind == kind)

    def load(self, minute: int) -> int:
        """How busy the server is at a UTC minute of the day (a weight, not a rate)."""
        local = (minute + self.ahead * 60) % DAY_MINUTES
        hour, part = divmod(local, 60)
        here, after = _CURVE[hour], _CURVE[(hour + 1) % 24]
        return self.size * (here * (60 - part) + after * part)


@dataclass(slots=True)
class World:
    """Everything that exists when the day begins."""

    start: int
    servers: list[Server]
    members: list[Member]
    made: int = 0

    def account(
        self, created: int, name: str, roles: tuple[str, ...] = (), bot: bool = False
    ) -> dict[str, Any]:
        """A new account as events carry it."""
        self.made += 1
        return {
            "id": snowflake(created, self.made),
            "name": name,
            "created_at": iso(created),
            "bot": bot,
            "roles": list(roles),
        }


def build_world(seed: int, events: int, start: int) -> World:
    """Servers (Zipf sizes) and members for a day of `events` events."""
    dice = Dice(seed, 1)
    world = World(start, [], [])
    count = max(10, min(len(words.SERVERS), 8 + events // 13_000))
    for rank in range(count):
        world.servers.append(_server(dice, world, rank))
    by_size = Weighted(world.servers, [s.size for s in world.servers])
    for number in range(max(400, events // 26)):
        home = world.servers[number % count] if number < count * 20 else by_size.pick(dice)
        member = _member(dice, world, home)
        world.members.append(member)
        home.members.append(member)
        while dice.chance(30):
            other = by_size.pick(dice)
            if other is not home:
                other.members.append(member)
    for server in world.servers:
        server.crowd = Weighted(server.members, [100_000 // (i + 12) for i in range(len(server.members))])
        for i in range(3 + len(server.members) // 300):
            server.moderators.append(_helper(dice, world, server, f"mod {server.members[i].author['name']}"))
    return world


def _server(dice: Dice, world: World, rank: int) -> Server:
    """The server of that rank in size. Its ids are the same on every simulated day, whatever the seed."""
    name, language, ahead, topic = words.SERVERS[rank]
    born = _FIRST_SERVER + rank * 61 * MS_PER_DAY
    kinds = ["general", "off-topic", "help", "media", "announcements", "moderation"]
    kinds += [f"room-{i}" for i in range(dice.between(1, 5))]
    channels = [Channel(snowflake(born, 1000 * rank + i), kind) for i, kind in enumerate(kinds)]
    weights = [_TALK.get(kind, 8) for kind in kinds]
    size = 1000 // (rank + 2)
    made = Server(
        snowflake(born, rank),
        name,
        language,
        topic,
        ahead,
        size,
        channels,
        Weighted(channels, weights),
    )
    bot = world.account(
        born,
        dice.pick(("Harbour Herald", "Quartermaster", "Lighthouse", "Bosun")),
        ("bot", "trusted"),
        bot=True,
    )
    made.bots.append(Member(bot, language, 0xFFFFFF, 0, 0, 0, 0))
    return made


def _hours(dice: Dice, ahead: int) -> int:
    """The UTC hours someone is about: six to fourteen in a row, mostly ending before local midnight."""
    length = dice.between(6, 14)
    last = dice.between(20, 25) - ahead
    mask = 0
    for hour in range(last - length, last):
        mask |= 1 << (hour % 24)
    return mask


def _member(dice: Dice, world: World, home: Server) -> Member:
    skew = dice.random()
    days = dice.between(1, 29) if dice.chance(8) else 30 + int(skew * skew * 3400)
    age = days * MS_PER_DAY + dice.below(MS_PER_DAY)
    language = home.language if dice.chance(90) else "en"
    roles = ("member",) if dice.chance(60) else ()
    return Member(
        author=world.account(world.start - age, person(dice, language), roles),
        language=language,
        active=_hours(dice, home.ahead),
        short=dice.between(5, 45),
        links=dice.pick((0, 0, 1, 2, 3, 5, 9)),
        emoji=dice.pick((0, 5, 10, 20, 45)),
        friends=dice.between(2, 9),
    )


def _helper(dice: Dice, world: World, server: Server, name: str) -> Member:
    created = world.start - dice.between(400, 3000) * MS_PER_DAY
    author = world.account(created, name, ("moderator",))
    return Member(author, server.language, 0xFFFFFF, 15, 2, 10, 6)


def newcomer(dice: Dice, world: World, created: int, language: str, name: str = "") -> Member:
    """A member whose account was made at `created`, today or a few days ago."""
    author = world.account(created, name or person(dice, language))
    return Member(author, language, 0xFFFFFF, 25, dice.pick((0, 0, 2, 6)), 20, 3)


def fresh_name(dice: Dice) -> str:
    """A name as scripts make them: a first name and a few digits."""
    return dice.pick(FIRST_NAMES["en"]).lower() + str(dice.between(100, 99_999))


# --- events -------------------------------------------------------------------------------------------------


def message(
    t: int,
    server: Server,
    channel: Channel,
    author: Member,
    content: str,
    truth: dict[str, str] = BENIGN,
    mentions: list[int] | None = None,
    attachments: int = 0,
    reply_to: int = 0,
) -> Event:
    """A `message_create`; its id is given when it is sent."""
    body: dict[str, Any] = {
        "content": content,
        "mentions": [{"id": m} for m in mentions] if mentions else [],
        "attachments": attachments,
    }
    if reply_to:
        body["reply_to"] = reply_to
    return {
        "type": "message_create",
        "id": 0,
        "created_at": iso(t),
        "guild_id": server.id,
        "channel_id": channel.id,
        "author": author.author,
        "message": body,
        "truth": truth,
    }


def direct_message(
    t: int, author: Member, recipient: int, content: str, truth: dict[str, str] = BENIGN
) -> Event:
    """A `direct_message` to the account `recipient`."""
    return {
        "type": "direct_message",
        "id": 0,
        "created_at": iso(t),
        "author": author.author,
        "recipient": {"id": recipient},
        "content": content,
        "truth": truth,
    }


def signup(
    t: int, who: Member, address: str, ip: str, truth: dict[str, str] = BENIGN, invite: str = ""
) -> Event:
    """A `signup` of the account of `who`."""
    event: Event = {
        "type": "signup",
        "id": 0,
        "created_at": iso(t),
        "account": {"id": who.id, "name": who.author["name"], "email": address},
        "ip": ip,
    }
    if invite:
        event["invite"] = invite
    event["truth"] = truth
    return event


def member_join(t: int, server: Server, who: Member, truth: dict[str, str] = BENIGN) -> Event:
    """A `member_join`: someone enters a server."""
    user = {"id": who.id, "name": who.author["name"], "created_at": who.author["created_at"]}
    return {
        "type": "member_join",
        "id": 0,
        "created_at": iso(t),
        "guild_id": server.id,
        "user": user,
        "truth": truth,
    }


def profile_update(t: int, who: Member, display_name: str, bio: str, truth: dict[str, str] = BENIGN) -> Event:
    """A `profile_update`: the name shown, and the text under it."""
    return {
        "type": "profile_update",
        "id": 0,
        "created_at": iso(t),
        "user": {"id": who.id, "created_at": who.author["created_at"]},
        "display_name": display_name,
        "bio": bio,
        "truth": truth,
    }


def report(t: int, reporter: Member, target: int, reason: str, truth: dict[str, str] = BENIGN) -> Event:
    """A `report` against the account `target`."""
    return {
        "type": "report",
        "id": 0,
        "created_at": iso(t),
        "reporter": {"id": reporter.id},
        "target": {"id": target},
        "reason": reason,
        "truth": truth,
    }
