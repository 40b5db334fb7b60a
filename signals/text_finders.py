"""What can be found in a text: words, e-mail addresses, phone numbers, mentions, hashtags, emoji.

Each finder runs a pattern of ASCII classes over the text's shape (see `characters.shape`), whose places are
the text's own. The patterns never go back over what they took, so their time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import islice

from quell.grammar.types import TEXT, list_of
from quell.signals.characters import HIDDEN, LIST_CAP, LOOK_CAP, CharTable, shape, visible
from quell.signals.registry import Example, Function, Parameter

# In shapes: letters, digits and the underscore; \x01 is a hidden character, \x02 a combining mark.
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\x01\x02]*+(?:'[A-Za-z0-9_][A-Za-z0-9_\x01\x02]*+)*+")
_MENTION = re.compile(
    r"<@!?([0-9]{1,32})>"
    r"|(?<![A-Za-z0-9_\x02@.+/])@([A-Za-z0-9_][A-Za-z0-9_\x01\x02]*+(?:[.-][A-Za-z0-9_][A-Za-z0-9_\x01\x02]*+)*+)"
)
_HASHTAG = re.compile(r"(?<![A-Za-z0-9_\x02#&/])#([0-9_\x01\x02]*+[A-Za-z][A-Za-z0-9_\x01\x02]*+)")


def _found(text: str, plain: str, places: Iterable[tuple[int, int]]) -> list[str]:
    found = [text[start:end] for start, end in islice(places, LIST_CAP)]
    return [visible(one) for one in found] if HIDDEN in plain else found


def words(text: str) -> list[str]:
    """The words of the text, as they stand but for hidden characters."""
    plain = shape(text)
    if plain is text and len(text) <= LIST_CAP:
        return _WORD.findall(text)
    return _found(text, plain, (match.span() for match in _WORD.finditer(plain)))


def mentions(text: str) -> list[str]:
    """The names or ids that the text mentions."""
    if "@" not in text and "\uff20" not in text:
        return []
    plain = shape(text)
    return _found(text, plain, (match.span(match.lastindex or 0) for match in _MENTION.finditer(plain)))


def hashtags(text: str) -> list[str]:
    """The hashtags of the text, without their sign."""
    if "#" not in text and "\uff03" not in text:
        return []
    plain = shape(text)
    return _found(text, plain, (match.span(1) for match in _HASHTAG.finditer(plain)))


# ------------------------------------------------------------------- e-mail

AT = r"(?:@|\[at\]|\(at\)|\{at\})"
DOT = r"(?:\.|\[\.\]|\(\.\)|\{\.\}|\[dot\]|\(dot\)|\{dot\})"
_LABEL = r"[A-Za-z0-9][A-Za-z0-9\x01\x02-]*+"
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\x02-])(?<!//)(?P<local>[A-Za-z0-9_%+][A-Za-z0-9._%+\x01\x02-]*+)"
    rf"{AT}(?P<host>{_LABEL}(?:{DOT}{_LABEL})++)",
    re.IGNORECASE | re.ASCII,
)
_BRACKETED_AT = re.compile(r"[\[({][Aa][Tt][\])}]")
_LAST_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9-]*[A-Za-z]\Z")
_MAX_LOCAL = 64
_MAX_HOST = 253


def emails(text: str) -> list[str]:
    """The e-mail addresses in the text as they stand, those with a bracketed [at] or [dot] too."""
    plain = shape(text)
    if "@" not in plain and not _BRACKETED_AT.search(plain):
        return []
    return _found(text, plain, (match.span() for match in _EMAIL.finditer(plain) if _is_email(match)))


def _is_email(match: re.Match[str]) -> bool:
    local, host = match["local"], match["host"]
    return len(local) <= _MAX_LOCAL and len(host) <= _MAX_HOST and _LAST_LABEL.search(host[-64:]) is not None


# ------------------------------------------------------------------- phones

_PHONE = re.compile(
    r"(?<![A-Za-z0-9_.,:=&#$+/-])(\+?)(\(?[0-9]++(?:[ ./()\x01-]{1,3}+[0-9]++)*+)(?![A-Za-z_%$]|[,:][0-9])"
)
_GROUP = re.compile("[0-9]+")
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[ ./-][01]?[0-9][ ./-][0-3]?[0-9](?![0-9])"
    r"|[0-3]?[0-9][./-][01]?[0-9][./-](?:19|20)[0-9]{2}"
)
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:[ .][0-9]{3})+")
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_LONGEST_PHONE = 40


def phones(text: str) -> list[str]:
    """The phone numbers in the text: their digits, after a + where the number is international."""
    found = (_phone(match[1], match[2]) for match in _PHONE.finditer(shape(text)))
    return list(islice((number for number in found if number), LIST_CAP))


def _phone(plus: str, written: str) -> str | None:
    if not 8 <= len(written) <= _LONGEST_PHONE:
        return None
    groups: list[str] = _GROUP.findall(written)
    digits = "".join(groups)
    if not plus and digits.startswith("00"):
        plus, digits = "+", digits[2:]
    if plus:
        return "+" + digits if 8 <= len(digits) <= 15 and digits[0] != "0" else None
    return digits if _is_national(written, groups) else None


def _is_national(written: str, groups: list[str]) -> bool:
    sizes = [len(group) for group in groups]
    if not (9 <= sum(sizes) <= 12 and 2 <= len(groups) <= 6 and max(sizes) <= 8):
        return False
    if max(sizes) <= 2:  # a list of small numbers, unless it is five pairs from a nought, as in France
        return sizes == [2, 2, 2, 2, 2] and written[0] == "0"
    return not (_DATE.match(written) or _THOUSANDS.fullmatch(written) or _ADDRESS.fullmatch(written))


# -------------------------------------------------------------------- emoji


@cache
def _emoji() -> tuple[frozenset[str], dict[str, tuple[int, ...]]]:
    """Every emoji, and how long those are that begin with a character, longest first."""
    import emoji  # here, because reading its data takes longer than all other imports of this module

    unqualified = emoji.STATUS["unqualified"]
    known = frozenset(e for e, row in emoji.EMOJI_DATA.items() if len(e) > 1 or row["status"] != unqualified)
    sizes: dict[str, set[int]] = {}
    for one in known:
        sizes.setdefault(one[0], set()).add(len(one))
    return known, {first: tuple(sorted(found, reverse=True)) for first, found in sizes.items()}


_BEGINS = CharTable(lambda char: "e" if char in _emoji()[1] else " ")


def emojis(text: str) -> list[str]:
    """The emoji of the text in order, each as long as it can be read (a family or a flag is one)."""
    if text.isascii():
        return []
    known, sizes = _emoji()
    begins = text[:LOOK_CAP].translate(_BEGINS)
    found: list[str] = []
    at = begins.find("e")
    while at >= 0 and len(found) < LIST_CAP:
        end = at + 1
        for size in sizes[text[at]]:
            if text[at : at + size] in known:
                end = at + size
                found.append(text[at:end])
                break
        at = begins.find("e", end)
    return found


def _warm_emojis() -> Callable[[str], list[str]]:
    _emoji()
    return emojis


# --------------------------------------------------------------------- rows

_X = Parameter("x", TEXT)
_FIRST = f"At most the first {LIST_CAP:,}."

ROWS: tuple[Function, ...] = (
    Function(
        name="words",
        group="text",
        doc="The words of the text as they stand: runs of letters, digits and underscores of any script,"
        f" with apostrophes inside. In scripts without spaces a run can be a sentence. {_FIRST}",
        parameters=(_X,),
        result=list_of(TEXT),
        call=words,
        cost=3.0,
        examples=(Example('words("Don\'t panic: it is 42!")', '["Don\'t", "panic", "it", "is", "42"]'),),
    ),
    Function(
        name="emails",
        group="text",
        doc="The e-mail addresses in the text as they stand, in order; also written with a bracketed `[at]`"
        f" or `(dot)`. {_FIRST}",
        parameters=(_X,),
        result=list_of(TEXT),
        call=emails,
        cost=4.0,
        examples=(
            Example(
                'emails("write to ann@mail.test or bob[at]mail[dot]test")',
                '["ann@mail.test", "bob[at]mail[dot]test"]',
            ),
        ),
    ),
    Function(
        name="phones",
        group="text",
        doc="The phone numbers in the text, each as its digits alone so that spellings agree: international"
        " ones (`+` or `00`, 8 to 15 digits) with a `+` in front, national ones when written in groups (9 to"
        f" 12 digits). Dates, amounts and IP addresses are left out. {_FIRST}",
        parameters=(_X,),
        result=list_of(TEXT),
        call=phones,
        cost=3.5,
        examples=(
            Example(
                'phones("call +44 20 7946 0958 or (212) 555-0123, since 2026-01-01")',
                '["+442079460958", "2125550123"]',
            ),
        ),
    ),
    Function(
        name="mentions",
        group="text",
        doc="Whom the text mentions: the names after `@`, and the ids in `<@…>`, without the signs, in"
        f" order, with repeats. E-mail addresses are none. {_FIRST}",
        parameters=(_X,),
        result=list_of(TEXT),
        call=mentions,
        cost=1.0,
        examples=(Example('mentions("@ann and <@1234>: ask bob@mail.test")', '["ann", "1234"]'),),
    ),
    Function(
        name="hashtags",
        group="text",
        doc=f"The hashtags of the text without `#`, as they stand, in order, with repeats. {_FIRST}",
        parameters=(_X,),
        result=list_of(TEXT),
        call=hashtags,
        cost=0.2,
        examples=(Example('hashtags("#Free #nitro at #1")', '["Free", "nitro"]'),),
    ),
    Function(
        name="emojis",
        group="text",
        doc="The emoji of the text in order, with repeats; one joined of several is one. Signs that show as"
        f" text unless asked (©, ☺) count when asked. {_FIRST} Only the first {LOOK_CAP:,} characters are"
        " looked at.",
        parameters=(_X,),
        result=list_of(TEXT),
        call=emojis,
        prepare=_warm_emojis,
        cost=0.3,
        examples=(Example('emojis("hi 👍🏽 👩‍👩‍👧 © 🇫🇷")', '["👍🏽", "👩‍👩‍👧", "🇫🇷"]'),),
    ),
)
