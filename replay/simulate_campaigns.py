"""What goes wrong on the simulated day: campaigns of abuse, planned ahead and marked with their truth.

An event is labelled `abuse` where the abuse can be seen in it. What leads up to it (a raider's join,
a spammer's signup at an ordinary provider) is `benign` with the campaign's name, since no policy could
or should act on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quell.replay import simulate_plots as plots
from quell.replay.simulate_text import (
    LETTERS,
    Dice,
    Phrase,
    disguised,
    email,
    leet,
    lines,
    look_alike,
    shouted,
    stretched,
    zero_width,
)
from quell.replay.simulate_world import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    Event,
    Member,
    Server,
    World,
    direct_message,
    fresh_name,
    iso,
    member_join,
    message,
    newcomer,
    profile_update,
    report,
    signup,
)

_SPAM = lines(plots.SPAM_LINES)
_RAID = lines(plots.RAID_LINES)
_BURST = lines(plots.BURST_LINES)
_SCAM = lines(plots.SCAM_LINES)
_STAFF_SCAM = lines(plots.STAFF_SCAM_LINES)
_SLUR = lines(plots.SLUR_LINES)
_REASONS = plots.REPORT_REASONS.split("|")

REFERENCE_EVENTS = 210_000
"""The day the numbers of campaigns are written for; other sizes have proportionally more or fewer."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """One scripted happening: `accounts` took part, `events` carry its kind, from `start` to `end` (ISO)."""

    name: str
    label: str
    kind: str
    what: str
    start: str
    end: str
    accounts: int
    events: int


class Script:
    """Collects what is planned: `steps` are (time, order of planning, event)."""

    def __init__(self, world: World, seed: int, events: int) -> None:
        self.world = world
        self.end = world.start + MS_PER_DAY
        self.steps: list[tuple[int, int, Event]] = []
        self.campaigns: list[Campaign] = []
        self.burned: list[Member] = []
        self._seed = seed
        self._events = events
        self._streams = 100

    def times(self, at_reference: int) -> int:
        """How many of something there are on a day of this size; at least one."""
        return max(1, (2 * at_reference * self._events + REFERENCE_EVENTS) // (2 * REFERENCE_EVENTS))

    def dice(self) -> Dice:
        """Dice of one's own, so that a change to one campaign leaves the others as they are."""
        self._streams += 1
        return Dice(self._seed, self._streams)

    def add(self, t: int, event: Event) -> None:
        """Plan `event`; what would fall after midnight does not happen."""
        if t < self.end:
            self.steps.append((t, len(self.steps), event))

    def play(
        self, label: str, kind: str, what: str, act: Callable[[Act], None], dice: Dice | None = None
    ) -> None:
        """Let `act` plan one campaign and write it down."""
        serial = sum(1 for c in self.campaigns if c.kind == kind) + 1
        this = Act(self, dice or self.dice(), label, kind, f"{kind}-{serial}")
        first = len(self.steps)
        act(this)
        marked = [t for t, _, e in self.steps[first:] if e["truth"] is this.truth]
        if marked:
            self.campaigns.append(
                Campaign(
                    this.name,
                    label,
                    kind,
                    what,
                    iso(min(marked)),
                    iso(max(marked)),
                    this.accounts,
                    len(marked),
                )
            )


class Act:
    """One campaign while it is being planned."""

    def __init__(self, script: Script, dice: Dice, label: str, kind: str, name: str) -> None:
        self.script, self.dice, self.name = script, dice, name
        self.world = script.world
        self.truth = {"label": label, "kind": kind, "campaign": name}
        self.lead_up = {"label": "benign", "kind": "", "campaign": name}
        self.accounts = 0

    def at_hour(self, first: int, last: int) -> int:
        """A moment between two UTC hours of the day."""
        return self.world.start + first * MS_PER_HOUR + self.dice.below((last - first) * MS_PER_HOUR)

    def server(self) -> Server:
        """A server worth attacking: one of the larger half."""
        return self.dice.pick(self.world.servers[: len(self.world.servers) // 2 + 1])

    def fresh(self, created: int, name: str = "", telling: bool = True) -> Member:
        """A new account; its signup is planned when it falls into the day (`telling`)."""
        self.accounts += 1
        who = newcomer(self.dice, self.world, created, "en", name or fresh_name(self.dice))
        if telling and created >= self.world.start:
            address = email(self.dice, who.author["name"])
            self.script.add(created, signup(created, who, address, benign_ip(self.dice), self.lead_up))
        return who

    def join(self, t: int, server: Server, who: Member) -> None:
        """Plan that `who` enters a server, as the way to the abuse."""
        self.script.add(t, member_join(t, server, who, self.lead_up))

    def say(self, t: int, server: Server, who: Member, text: str, mentions: list[int] | None = None) -> None:
        """Plan one abusive message in one of the server's busier channels."""
        channel = server.talk.pick(self.dice)
        self.script.add(t, message(t, server, channel, who, text, self.truth, mentions))

    def reported(self, t: int, server: Server, who: Member, percent: float) -> None:
        """Perhaps have a member report `who` some minutes later."""
        if self.dice.chance(percent):
            later = t + self.dice.between(1, 20) * MS_PER_MINUTE
            reporter = self.dice.pick(server.members)
            self.script.add(later, report(later, reporter, who.id, self.dice.pick(_REASONS), self.lead_up))

    def fill(self, phrases: list[Phrase], **own: str | Callable[[], str]) -> str:
        """One of `phrases`, with the holes that only this campaign can fill."""
        text = self.dice.pick(phrases).fill(self.dice)
        for hole, value in own.items():
            while "{" + hole + "}" in text:
                text = text.replace("{" + hole + "}", value if isinstance(value, str) else value(), 1)
        return text


def benign_ip(dice: Dice) -> str:
    """The address of a household or a phone."""
    first = dice.pick((24, 31, 46, 62, 77, 81, 84, 91, 109, 151, 178, 186, 188, 201, 213))
    return f"{first}.{dice.below(256)}.{dice.below(256)}.{dice.between(1, 254)}"


def hosting_ip(dice: Dice) -> str:
    """An address in a data centre: the ranges set aside for documentation, so that nobody's is named."""
    return dice.pick(("203.0.113.", "198.51.100.")) + str(dice.between(1, 254))


# --- the campaigns ------------------------------------------------------------------------------------------


def _link_spam(style: str) -> Callable[[Act], None]:
    domains = {"known": plots.KNOWN_BAD_DOMAINS, "shortener": plots.SHORTENERS}.get(
        style, plots.FRESH_BAD_DOMAINS
    )

    def act(a: Act) -> None:
        d = a.dice
        begin = a.at_hour(1, 22)
        domain = d.pick(domains)
        servers = [a.server() for _ in range(d.between(1, 3))]

        def url() -> str:
            return f"https://{domain}/{d.code(6)}"

        for who in _spammers(a, style, begin):
            t = begin + d.below(25 * MS_PER_MINUTE)
            server = d.pick(servers)
            if style != "hijacked":
                a.join(t - d.between(20, 400) * 1000, server, who)
            for _ in range(d.between(3, 6) if style == "hijacked" else d.between(5, 13)):
                a.say(t, server, who, a.fill(_SPAM, url=url))
                t += d.between(1500, 12_000)
            a.reported(t, server, who, 25)

    return act


def _spammers(a: Act, style: str, begin: int) -> list[Member]:
    d = a.dice
    if style == "hijacked":
        taken = d.some(a.world.members, d.between(8, 15))
        a.accounts += len(taken)
        return taken
    reused = a.script.burned[:15]
    del a.script.burned[:15]
    reused = [who for who in reused if who.author["created_at"] < iso(begin - MS_PER_HOUR)]
    a.accounts += len(reused)
    made = [a.fresh(begin - d.between(20 * MS_PER_MINUTE, 5 * MS_PER_DAY)) for _ in range(d.between(20, 42))]
    return reused + made


def _mention_raid(a: Act) -> None:
    d = a.dice
    server = a.server()
    begin = a.at_hour(2, 22)
    most = d.pick((5, 9, 20))
    for _ in range(d.between(18, 38)):
        who = a.fresh(begin - d.between(10 * MS_PER_MINUTE, 30 * MS_PER_DAY))
        a.join(begin - d.below(9 * MS_PER_MINUTE), server, who)
        t = begin + d.below(4 * MS_PER_MINUTE)
        for _ in range(d.between(3, 8)):
            named = [m.id for m in d.some(server.members, d.between(3, most))]
            text = a.fill(_RAID) + " " + " ".join([f"<@{n}>" for n in named])
            a.say(t, server, who, text, named)
            t += d.between(2000, 25_000)
        a.reported(t, server, who, 15)


def _dup_flood(a: Act) -> None:
    d = a.dice
    server, text = a.server(), d.pick(plots.FLOOD_LINES)
    begin = a.at_hour(1, 23)
    for _ in range(d.between(14, 36)):
        if d.chance(25):
            who = d.pick(server.members)
            a.accounts += 1
        else:
            who = a.fresh(begin - d.between(MS_PER_DAY, 60 * MS_PER_DAY))
        t = begin + d.below(12 * MS_PER_MINUTE)
        for _ in range(d.between(3, 8)):
            a.say(t, server, who, disguised(d, text))
            t += d.between(4000, 60_000)
        a.reported(t, server, who, 10)


def _velocity(a: Act) -> None:
    d = a.dice
    begin = a.at_hour(1, 23)
    for _ in range(d.between(3, 6)):
        who = a.fresh(begin - d.between(5, 600) * MS_PER_MINUTE)
        server = a.server()
        t = begin + d.below(20 * MS_PER_MINUTE)
        a.join(t - d.between(10, 200) * 1000, server, who)
        for _ in range(d.between(35, 75)):
            a.say(t, server, who, a.fill(_BURST, n=lambda: str(d.below(1000))))
            t += d.between(500, 3000)
        a.reported(t, server, who, 40)


def staff_look_alike(dice: Dice) -> str:
    """A name that reads like one of the platform's own."""
    name = dice.pick(plots.STAFF_NAMES if dice.chance(75) else plots.ROLE_NAMES)
    how = dice.below(7)
    if how == 0:
        name = look_alike(dice, name, 60)
    elif how == 1:
        name = leet(dice, name, 60)
    elif how == 2:
        name = zero_width(dice, name, 4)
    elif how == 3:
        name = stretched(dice, name)
    elif how == 4:
        name = name.replace("o", "\u00f6", 1).replace("a", "\u00e0", 1)
    elif how == 5:
        name = shouted(dice, name)
    return name + dice.pick(("", "", " \u2713", " | Official", "_", "."))


def _impersonation(a: Act) -> None:
    d = a.dice
    domain = d.pick(plots.FRESH_BAD_DOMAINS)
    for _ in range(d.between(5, 9)):
        t = a.at_hour(1, 22)
        if d.chance(55):
            name = staff_look_alike(d)
            who = a.fresh(t, name, telling=False)
            a.script.add(t, signup(t, who, email(d, "account"), benign_ip(d), a.truth))
        else:
            who = a.fresh(t - d.between(1, 200) * MS_PER_DAY)
            a.script.add(t, profile_update(t, who, staff_look_alike(d), "here to help", a.truth))
        for _ in range(d.between(2, 6) if d.chance(60) else 0):
            t += d.between(2, 30) * MS_PER_MINUTE
            text = a.fill(_STAFF_SCAM, url=lambda: f"https://{domain}/verify/{d.code(5)}")
            a.script.add(t, direct_message(t, who, d.pick(a.world.members).id, text, a.truth))


def _disposable(a: Act) -> None:
    d = a.dice
    t = a.at_hour(0, 20)
    ips = [hosting_ip(d) for _ in range(d.between(1, 4))]
    domain = d.pick(plots.DISPOSABLE_MAIL if d.chance(75) else plots.FRESH_DISPOSABLE_MAIL)
    made: list[Member] = []
    for _ in range(d.between(20, 55)):
        who = a.fresh(t, telling=False)
        made.append(who)
        address = f"{d.code(9, LETTERS)}{d.below(100)}@{domain}"
        a.script.add(t, signup(t, who, address, d.pick(ips), a.truth))
        t += d.between(3000, 25_000)
    a.script.burned += made[: len(made) // 2]


def _slur(a: Act) -> None:
    d = a.dice
    server = a.server()
    for _ in range(d.between(7, 12)):
        if d.chance(60):
            who = d.pick(server.members)
            a.accounts += 1
        else:
            who = a.fresh(a.world.start - d.between(1, 90) * MS_PER_DAY)
        t = a.at_hour(1, 23)
        for _ in range(d.between(2, 6)):
            word = d.pick(plots.SLURS)
            how = d.below(6)
            if how == 1:
                word = leet(d, word, 70)
            elif how == 2:
                word = zero_width(d, word, 3)
            elif how == 3:
                word = look_alike(d, word, 60)
            elif how == 4:
                word = stretched(d, word)
            elif how == 5:
                word = shouted(d, word)
            a.say(t, server, who, a.fill(_SLUR, slur=word))
            t += d.between(20, 900) * 1000
        a.reported(t, server, who, 30)


def _slow_scam(a: Act) -> None:
    d = a.dice
    domain = d.pick(plots.FRESH_BAD_DOMAINS + plots.SHORTENERS)
    for _ in range(d.between(2, 4)):
        t = a.at_hour(0, 6)
        who = a.fresh(a.world.start - d.between(2, 20) * MS_PER_DAY)
        until = t + d.between(10, 17) * MS_PER_HOUR
        while t < until:
            text = a.fill(_SCAM, url=lambda: f"https://{domain}/{d.code(6)}", n=lambda: str(d.below(100)))
            a.script.add(t, direct_message(t, who, d.pick(a.world.members).id, text, a.truth))
            t += d.between(9, 40) * MS_PER_MINUTE


def plan_abuse(script: Script) -> None:
    """Plan every campaign of the day."""
    for _ in range(script.times(8)):
        script.play(
            "abuse",
            "disposable_signup",
            "signups in a burst from few addresses with throw-away mail",
            _disposable,
        )
    styles = ("known", "fresh", "shortener", "known", "hijacked", "fresh", "known")
    for i in range(script.times(7)):
        style = styles[i % len(styles)]
        script.play("abuse", "link_spam", f"a flood of links ({style})", _link_spam(style))
    for kind, times, what, act in (
        ("mention_raid", 4, "many join one server and mention its members", _mention_raid),
        ("dup_flood", 6, "one text in many disguises from many accounts", _dup_flood),
        ("velocity", 10, "new accounts posting every second or two", _velocity),
        ("impersonation", 9, "names that read like staff, then messages to members", _impersonation),
        ("slur", 8, "insults, plain and disguised", _slur),
        ("slow_scam", 9, "a few direct messages an hour to strangers, all day", _slow_scam),
    ):
        for _ in range(script.times(times)):
            script.play("abuse", kind, what, act)
