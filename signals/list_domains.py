"""Lists of domains: an entry stands for itself and all its subdomains."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import unicodedata2

from quell.signals.link_hosts import parts
from quell.signals.list_base import KeyedList, Row, Source, shorten

MAX_HOST = 253
"""Characters of a host name, as in RFC 1035."""
MAX_TEXT = 20_000
"""A longer text is no host, URL or address."""

_PLAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_SCHEME = re.compile(r"(?:https?|ftp|wss?):[/\\]*|[a-z][a-z0-9+.-]*:(?://|\\\\)|[/\\]{2}|mailto:")
_IGNORED = re.compile(r"[\t\n\r]")
_DOTS = re.compile("[\u3002\uff0e\uff61]")
_PORT = re.compile(r":[0-9]*\Z")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")


def listed_host(text: str) -> str | None:
    """The host of a host name, URL or e-mail address, in the spelling in which lists compare it.

    Lower case, internationalised labels in Unicode (NFC of NFKC), no dot at the end. None when there is
    none; an IPv6 address is none.
    """
    if len(text) > MAX_TEXT:
        return None
    low = text.strip().lower()
    if len(low) <= MAX_HOST and _PLAIN.fullmatch(low) and "xn--" not in low:
        return low
    read = parts(text)
    if read is not None:
        return _spelled(read[0])
    low = _IGNORED.sub("", low)  # as browsers do
    scheme = _SCHEME.match(low)
    rest = low[scheme.end() :] if scheme else low
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    host = _PORT.sub("", authority.rpartition("@")[2])
    if "%" in host:
        host = unquote(host)
    return _spelled(host)


def _spelled(host: str) -> str | None:
    host = _DOTS.sub(".", host).removesuffix(".")
    # The longest host in ASCII is never longer in Unicode, and the other way round at most this much.
    if not host or len(host) > MAX_HOST:
        return None
    labels = [_label(label) for label in host.split(".")]
    if not all(labels):
        return None
    return ".".join(labels)


def _label(label: str) -> str:
    """One label in Unicode; empty when it is none."""
    if label.startswith("xn--"):
        try:
            decoded = label[4:].encode("ascii").decode("punycode")
            decoded.encode()
            label = decoded
        except ValueError:
            return label if _PLAIN.fullmatch(label) else ""
    if not label.isascii():
        label = unicodedata2.normalize("NFC", unicodedata2.normalize("NFKC", label).lower())
    if any(c in _NOT_IN_LABELS or c.isspace() for c in label):
        return ""
    return label


_NOT_IN_LABELS = frozenset("!\"#$%&'()*+,./:;<=>?@[\\]^`{|}~\x7f") | {chr(c) for c in range(32)}


class DomainList(KeyedList):
    """Hosts that are a listed domain or lie under one."""

    def contains(self, value: str) -> bool:
        """Whether the value's host is a listed domain or lies under one."""
        lines = self._lines
        if value in lines:
            return True
        host = listed_host(value)
        while host:
            if host in lines:
                return True
            host = host.partition(".")[2]
        return False

    def covering(self, value: str) -> Iterator[str]:
        """The listed domains that the value's host is or lies under, the closest first."""
        host = listed_host(value)
        while host:
            if host in self._lines:
                yield host
            host = host.partition(".")[2]

    def wider(self, entry: str) -> str | None:
        """The widest other entry that this one lies under."""
        found = None
        parent = entry.partition(".")[2]
        while parent:
            if parent in self._lines:
                found = parent
            parent = parent.partition(".")[2]
        return found


def load_domains(source: Source) -> DomainList:
    """Read a list of domains."""
    lines: dict[str, int] = {}
    rows: dict[str, Row] = {}
    for line, entry, row in source.keyed():
        host = _entry(source, line, entry)
        if host is None:
            continue
        first = lines.setdefault(host, line)
        if first != line:
            source.twice(line, host, first, same=rows.get(host) == row)
        elif row is not None:
            rows[host] = row
    made = DomainList(source, lines, rows)
    if not source.columns:
        covered = ((entry, line, made.wider(entry)) for entry, line in lines.items() if "." in entry)
        source.covered([(line, entry, by, lines[by]) for entry, line, by in covered if by is not None])
    return made


def _entry(source: Source, line: int, entry: str) -> str | None:
    """The host that an entry names; None when what is wrong with it is told."""
    if _PLAIN.fullmatch(entry) and len(entry) <= MAX_HOST and "xn--" not in entry and not entry[-1].isdigit():
        return entry
    host = listed_host(entry)
    fault = _fault(entry, host)
    if fault is not None:
        source.problems.add(line, *fault)
        return None
    return host


def _fault(entry: str, host: str | None) -> tuple[str, str | None] | None:
    """Why an entry is no domain, and what to write."""
    shown = shorten(entry)
    if entry.startswith(("*.", ".")):
        bare = listed_host(entry.lstrip("*."))
        return f"`{shown}` is no domain", f"write `{bare}`: it covers its subdomains" if bare else None
    if host is not None and entry.rstrip(".").lower() != host and any(c in entry for c in "/@:\\?#%"):
        return f"`{shown}` is more than a domain", f"write `{host}`"
    if host is None:
        parts = re.split(r"[\s,;|^]+", entry.strip("|^"))
        hosts = [h for h in (listed_host(p) for p in parts) if h and "." in h and not h[-1].isdigit()]
        return f"`{shown}` is no domain", f"write `{hosts[0]}` alone" if hosts else "such as example.com"
    if host.rpartition(".")[2].isdigit() and not _IPV4.fullmatch(host):
        return f"`{shown}` is no domain", "for addresses use a list as cidrs"
    return None
