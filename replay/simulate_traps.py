"""What looks wrong on the simulated day and is not: newcomers, and the traps for hasty rules.

Every trap is `benign` with a kind `trap_…`, so that a false alarm can be traced to what caused it.
"""

from __future__ import annotations

from quell.replay import simulate_plots as plots
from quell.replay.simulate_campaigns import Act, Script, benign_ip, hosting_ip
from quell.replay.simulate_text import (
    BIOS,
    LINK_INTRO,
    NEWCOMER,
    SLOTS,
    Dice,
    Weighted,
    email,
    lines,
    link,
    person,
    sentence,
)
from quell.replay.simulate_world import (
    DAY_MINUTES,
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    Member,
    Server,
    direct_message,
    member_join,
    message,
    newcomer,
    profile_update,
    report,
    signup,
)

_RELEASE = lines(plots.RELEASE_LINES)
_TEACHER = lines(plots.TEACHER_LINES)
_ORGANISER = lines(plots.ORGANISER_LINES)
_MOD = lines(plots.MOD_LINES)
_INNOCENT = lines(plots.INNOCENT_WORDS)


def plan_newcomers(script: Script) -> None:
    """Plan the first day of the people who come today: a signup, a server or two, first plots."""
    dice, world = script.dice(), script.world
    by_size = Weighted(world.servers, [s.size for s in world.servers])
    minutes = Weighted(
        range(DAY_MINUTES), [sum(s.load(m) for s in world.servers) for m in range(DAY_MINUTES)]
    )
    for _ in range(script.times(900)):
        t = world.start + minutes.pick(dice) * MS_PER_MINUTE + dice.below(MS_PER_MINUTE)
        server = by_size.pick(dice)
        who = newcomer(dice, world, t, server.language)
        ip = hosting_ip(dice) if dice.chance(2) else benign_ip(dice)
        invite = dice.code(7) if dice.chance(60) else ""
        script.add(t, signup(t, who, email(dice, who.author["name"]), ip, invite=invite))
        for _ in range(dice.pick((1, 1, 1, 2, 3))):
            t += dice.between(1, 12) * MS_PER_MINUTE
            script.add(t, member_join(t, server, who))
            if dice.chance(25):
                script.add(
                    t + 40_000, profile_update(t + 40_000, who, person(dice, who.language), dice.pick(BIOS))
                )
            _first_words(script, dice, t, server, who)
            server = by_size.pick(dice)


def _first_words(script: Script, dice: Dice, t: int, server: Server, who: Member) -> None:
    channel = server.channel("general")
    t += dice.between(20, 300) * 1000
    if dice.chance(60):
        script.add(t, message(t, server, channel, who, dice.pick(NEWCOMER[who.language])))
    for _ in range(dice.pick((0, 1, 2, 3, 5, 8, 14))):
        t += dice.pick((4, 9, 25, 60, 300, 1500)) * 1000 + dice.below(4000)
        text = sentence(dice, who.language, server.topic)
        if dice.chance(who.links):
            text = f"{dice.pick(LINK_INTRO[who.language])} {link(dice)}"
        script.add(t, message(t, server, channel, who, text))


# --- traps --------------------------------------------------------------------------------------------------


def _established(a: Act, server: Server, n: int) -> list[Member]:
    crowd = a.dice.some(server.members, n)
    a.accounts += len(crowd)
    return crowd


def _release(a: Act) -> None:
    """Everybody posts the same link when the game comes out."""
    d = a.dice
    begin = a.world.start + 18 * MS_PER_HOUR
    url = "https://store.steampowered.com/app/" + d.code(7, "0123456789")
    for server in a.world.servers[: max(3, len(a.world.servers) // 2)]:
        for who in _established(a, server, a.script.times(70)):
            t = begin + d.below(20 * MS_PER_MINUTE)
            for _ in range(d.pick((1, 1, 1, 2))):
                a.say(t, server, who, a.fill(_RELEASE, url=url))
                t += d.between(20, 300) * 1000
        for _ in range(a.script.times(4)):
            who = a.fresh(begin - d.between(5, 600) * MS_PER_MINUTE)
            t = begin + d.below(30 * MS_PER_MINUTE)
            a.say(t, server, who, a.fill(_RELEASE, url=url))


def _newcomer_links(a: Act) -> None:
    """A new member answers a question with two good links."""
    d = a.dice
    for _ in range(a.script.times(40)):
        server = a.server()
        t = a.at_hour(2, 23)
        who = a.fresh(t - d.between(10, 4000) * MS_PER_MINUTE)
        text = f"{d.pick(LINK_INTRO['en'])} {link(d)} and {link(d)}"
        a.say(t, server, who, text)
        if d.chance(30):
            a.say(t + 90_000, server, who, f"{sentence(d, 'en', server.topic)} {link(d)}")


def _teacher(a: Act) -> None:
    """A teacher mentions the whole class."""
    d = a.dice
    school = next((s for s in a.world.servers if s.topic == "school"), a.world.servers[-1])
    teacher = school.moderators[0]
    a.accounts += 1
    for hour in (7, 9, 11, 13, 15):
        t = a.world.start + hour * MS_PER_HOUR + d.below(30 * MS_PER_MINUTE)
        pupils = [m.id for m in d.some(school.members, d.between(14, 26))]
        a.say(t, school, teacher, a.fill(_TEACHER) + " " + " ".join([f"<@{n}>" for n in pupils]), pupils)
    pupil = a.fresh(a.world.start - d.between(1, 3) * MS_PER_DAY)
    t = a.world.start + 16 * MS_PER_HOUR
    named = [m.id for m in d.some(school.members, 8)]
    a.say(t, school, pupil, "our group for the poster: " + " ".join([f"<@{n}>" for n in named]), named)


def _announcement(a: Act) -> None:
    """Every server's bot posts the same announcement within seconds."""
    for hour, text in zip((9, 13, 20), plots.ANNOUNCEMENTS, strict=True):
        t = a.world.start + hour * MS_PER_HOUR
        for server in a.world.servers:
            bot = server.bots[0]
            for kind in ("announcements", "general"):
                t += a.dice.between(40, 900)
                a.script.add(t, message(t, server, server.channel(kind), bot, text, a.truth))
    a.accounts = len(a.world.servers)


def _cyrillic(a: Act) -> None:
    """People who write Russian, in their own servers and in others, with names to match."""
    d = a.dice
    for _ in range(a.script.times(60)):
        t = a.at_hour(4, 22)
        who = newcomer(d, a.world, t - d.between(1, 40) * MS_PER_DAY, "ru", person(d, "ru"))
        a.accounts += 1
        server = a.server()
        a.script.add(t, profile_update(t, who, person(d, "ru"), "люблю кошек и шахматы", a.truth))
        for _ in range(d.between(2, 7)):
            t += d.between(10, 200) * 1000
            text = sentence(d, "ru", "general")
            a.say(t, server, who, text + (" " + d.pick(SLOTS["en"]["game"]) if d.chance(40) else ""))


def _innocent_names(a: Act) -> None:
    """People whose names come close to protected ones."""
    d = a.dice
    for name in plots.INNOCENT_NAMES:
        for _ in range(a.script.times(3)):
            t = a.at_hour(1, 23)
            shown = name + d.pick(("", "", str(d.below(100)), " " + d.pick("ABCDEFGHKLMNP") + "."))
            if d.chance(50):
                who = a.fresh(t, shown, telling=False)
                a.script.add(t, signup(t, who, email(d, name), benign_ip(d), a.truth))
            else:
                who = a.fresh(t - d.between(3, 900) * MS_PER_DAY)
                a.script.add(t, profile_update(t, who, shown, d.pick(BIOS), a.truth))


def _copypasta(a: Act) -> None:
    """A meme makes the round among people who know each other."""
    d = a.dice
    server = a.world.servers[0]
    begin = a.world.start + 20 * MS_PER_HOUR
    for who in _established(a, server, a.script.times(110)):
        t = begin + d.below(70 * MS_PER_MINUTE)
        text = plots.COPYPASTA
        if d.chance(30):
            text = text.replace("trawler", d.pick(("kayak", "raft", "submarine", "duck")), 1)
        a.say(t, server, who, text + d.pick(("", "", " lol", " 💀")))


def _moderation(a: Act) -> None:
    """Moderators talk about slurs where that is their work, and reports quote them."""
    d = a.dice
    for _ in range(a.script.times(70)):
        server = a.server()
        t = a.at_hour(1, 23)
        who = d.pick(server.moderators)
        text = a.fill(_MOD, slur=lambda: d.pick(plots.SLURS))
        a.script.add(t, message(t, server, server.channel("moderation"), who, text, a.truth))
        a.accounts += 1
        if d.chance(40):
            target = d.pick(server.members).id
            reason = f"called me a {d.pick(plots.SLURS)}"
            a.script.add(t + 60_000, report(t + 60_000, d.pick(server.members), target, reason, a.truth))


def _innocent_words(a: Act) -> None:
    """Places and surnames that contain a slur."""
    d = a.dice
    for _ in range(a.script.times(50)):
        server = a.server()
        who = d.pick(server.members)
        a.accounts += 1
        a.say(a.at_hour(1, 23), server, who, a.fill(_INNOCENT))


def _classroom(a: Act) -> None:
    """A class signs up together, from one address, with good mail."""
    d = a.dice
    t = a.world.start + 8 * MS_PER_HOUR + d.below(MS_PER_HOUR)
    ip = benign_ip(d)
    for _ in range(d.between(18, 26)):
        who = newcomer(d, a.world, t, "en", person(d, "en"))
        a.accounts += 1
        name = who.author["name"].replace(" ", ".")
        a.script.add(
            t,
            signup(
                t, who, f"{name.lower()}{d.below(90)}@students.northbridge.edu", ip, a.truth, invite="class9b"
            ),
        )
        t += d.between(4000, 40_000)


def _organiser(a: Act) -> None:
    """Someone who organises a meetup writes to everybody who signed up."""
    d = a.dice
    for _ in range(a.script.times(3)):
        server = a.server()
        who = d.pick(server.members if d.chance(70) else server.moderators)
        a.accounts += 1
        t = a.at_hour(8, 20)
        for guest in d.some(server.members, d.between(30, 60)):
            text = a.fill(_ORGANISER)
            a.script.add(t, direct_message(t, who, guest.id, text, a.truth))
            t += d.between(15, 90) * 1000


def _friendly_newcomer(a: Act) -> None:
    """A new member who makes friends quickly."""
    d = a.dice
    for _ in range(a.script.times(30)):
        t = a.at_hour(5, 20)
        who = a.fresh(t - d.between(60, 9000) * MS_PER_MINUTE)
        friends = [m.id for m in d.some(a.server().members, d.between(2, 6))]
        for _ in range(d.between(5, 16)):
            text = sentence(d, "en", "general")
            a.script.add(t, direct_message(t, who, d.pick(friends), text, a.truth))
            t += d.between(20, 1200) * 1000


def _hype(a: Act) -> None:
    """Someone comments a match live, line after line."""
    d = a.dice
    for i in range(a.script.times(12)):
        server = a.server()
        t = a.at_hour(12, 22)
        if i % 3:
            who = d.pick(server.members)
            a.accounts += 1
        else:
            who = a.fresh(t - d.between(2, 12) * MS_PER_DAY)
        for _ in range(d.between(20, 45)):
            text = d.pick(
                (
                    "GOAL",
                    "no no no",
                    "that was a foul!!",
                    "what a save",
                    "come ON",
                    sentence(d, "en", "gaming"),
                )
            )
            a.say(t, server, who, text)
            t += d.between(2500, 9000)


def plan_traps(script: Script) -> None:
    """Plan every trap of the day, once each."""
    for kind, act in (
        ("trap_release", _release),
        ("trap_newcomer_links", _newcomer_links),
        ("trap_teacher", _teacher),
        ("trap_announcement", _announcement),
        ("trap_cyrillic", _cyrillic),
        ("trap_name", _innocent_names),
        ("trap_copypasta", _copypasta),
        ("trap_moderation", _moderation),
        ("trap_word", _innocent_words),
        ("trap_classroom", _classroom),
        ("trap_organiser", _organiser),
        ("trap_friendly", _friendly_newcomer),
        ("trap_hype", _hype),
    ):
        script.play("benign", kind, (act.__doc__ or "").strip().rstrip("."), act)
