"""Hosts: the part of a link or address that says whose it is, in one spelling, and whose domain that is.

A host is read as a browser would: user names, ports and percent signs undone, full-width letters and other
dots folded, `xn--` names decoded, IPv4 addresses in any base. Domains are registered where the public
suffix list says, private suffixes (github.io, blogspot.com) included, since those below are different
people's.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from urllib.parse import unquote_to_bytes

from publicsuffixlist import PublicSuffixList

from quell.signals.characters import category, lower, normalize, shape, visible
from quell.signals.network import ip

LONGEST = 8_192
"""Characters of a link that are looked at."""
_MAX_HOST = 253
_MAX_LABEL = 63

_DOTS = re.compile(r"[\u3002\uff0e\uff61]|\[\.\]|\(\.\)|\{\.\}|\[dot\]|\(dot\)|\{dot\}", re.IGNORECASE)
_ATS = re.compile(r"\[at\]|\(at\)|\{at\}", re.IGNORECASE)
# A scheme, then slashes either way; some schemes need none. `hxxp` and `[:]` are how people defang links.
_SCHEME = re.compile(
    r"\s*(?:(mailto):|(?:https?|h(?:xx|\*\*)ps?|ftps?)(?:\[:\]|:)[/\\]*"
    r"|[a-z][a-z0-9+.-]{1,19}(?:\[:\]|:)[/\\]{2}|[/\\]{2})",
    re.IGNORECASE | re.ASCII,
)
_AUTHORITY_END = re.compile(r"[/\\?#]")
_PORT = re.compile(r":[0-9]*\Z")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


def parts(link: str) -> tuple[str, str, bool] | None:
    """A link's host in one spelling, the rest behind it, and whether a scheme stood in front.

    None for what is no link, e-mail address or host; without a scheme a host needs a dot."""
    link = link[:LONGEST]
    plain = shape(link)
    scheme = _SCHEME.match(plain)
    begin = scheme.end() if scheme else 0
    end = _AUTHORITY_END.search(plain, begin)
    authority = link[begin : end.start()] if end else link[begin:]
    host = _canonical(authority, scheme is None or scheme[1] is not None)
    if host is None:
        return None
    return host, link[end.start() :] if end else "", scheme is not None


@lru_cache(maxsize=8_192)
def _canonical(authority: str, bare: bool) -> str | None:
    """The host of what stands between a scheme and the path. `bare` says that no scheme stood in front."""
    if len(authority) > 4 * _MAX_HOST:
        return None
    text = authority.strip()
    if not text.isascii():
        text = visible(normalize("NFKC", text))
    text = _DOTS.sub(".", _ATS.sub("@", text) if bare else text)
    host = lower(text.rpartition("@")[2])
    if host.startswith("["):
        return ip(host[1:].partition("]")[0])
    if bare and host.count(":") > 1:
        return ip(host)
    host = _PORT.sub("", host)
    if "%" in host:
        try:
            host = lower(visible(normalize("NFKC", unquote_to_bytes(host).decode())))
        except UnicodeDecodeError:
            return None
    host = host.removesuffix(".")
    if bare and "." not in host:
        return ip(host)
    return _checked(host)


def _checked(host: str) -> str | None:
    """A host with its `xn--` labels decoded, or None when it cannot be one."""
    if not 0 < len(host) <= _MAX_HOST:
        return None
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(labels)
    if host.isascii():
        if not _NAME.fullmatch(host):
            return None
        return ".".join(map(_decoded, labels)) if "xn--" in host else host
    good = all(0 < len(label) <= _MAX_LABEL and _is_label(label) for label in labels)
    return ".".join(map(_decoded, labels)) if good else None


def _is_label(label: str) -> bool:
    return all(char in "-_" or category(char)[0] in "LMN" or category(char) in ("So", "Sk") for char in label)


def _decoded(label: str) -> str:
    """The characters that an `xn--` label stands for; the label itself when those make no name."""
    if not label.startswith("xn--"):
        return label
    try:
        found = label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, OverflowError, ValueError):
        return label
    good = not found.isascii() and _is_label(found) and lower(normalize("NFKC", found)) == found
    return found if good else label


def _ipv4(labels: list[str]) -> str | None:
    """An IPv4 address from one to four numbers, in decimal, octal (0…) or hexadecimal (0x…): the last one
    fills the places that are left, as in the WHATWG URL standard."""
    numbers = [_ipv4_number(label) for label in labels]
    if len(numbers) > 4 or None in numbers:
        return None
    *heads, last = [n for n in numbers if n is not None]
    if any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):
        return None
    value = last + sum(head << 8 * (3 - place) for place, head in enumerate(heads))
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _ipv4_number(label: str) -> int | None:
    if not _NUMBER.fullmatch(label):
        return None
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    if len(label) > 1 and label[0] == "0":
        return int(label, 8) if not set(label) & {"8", "9"} else None
    return int(label)


# ------------------------------------------------------------------ domains


@cache
def _suffixes() -> tuple[PublicSuffixList, PublicSuffixList]:
    """The list with its private part and unknown suffixes, and the list of registries alone."""
    return PublicSuffixList(), PublicSuffixList(accept_unknown=False, only_icann=True)


@lru_cache(maxsize=8_192)
def registered(host: str) -> str | None:
    """The registered domain of a host in one spelling: an address is its own; None for a bare suffix. A
    private suffix itself (github.io) is the domain of those who run it."""
    if ":" in host or (host[-1].isdigit() and ip(host)):
        return host
    whole, registries = _suffixes()
    found = whole.privatesuffix(host)
    if found is None and "." in host:
        found = registries.privatesuffix(host)
    return found


@lru_cache(maxsize=8_192)
def has_listed_suffix(host: str) -> bool:
    """Whether a host lies below a suffix of the internet, or below one of those kept for tests (RFC 2606)."""
    return host.endswith((".test", ".example")) or _suffixes()[1].privatesuffix(host) is not None


def warm() -> None:
    """Read the list now, when a policy is compiled, so that no event waits for it."""
    _suffixes()
