"""Lists of IP networks, looked up by address: one table per length of prefix."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache

from quell.signals.list_base import KeyedList, Row, Source, shorten

_OCTETS = {str(value): value for value in range(256)}
_GROUPS = re.compile(r"[0-9A-Fa-f:]+")

Tables = dict[tuple[int, int], dict[int, str]]
"""For the bits of an address and the bits behind a prefix: from prefix to entry."""


def address(text: str) -> tuple[int, int] | None:
    """Bits and number of an IP address, or None. An IPv4 address written as IPv6 counts as IPv4."""
    parts = text.split(".", 4)
    if len(parts) == 4:
        try:
            a, b, c, d = parts
            return 32, _OCTETS[a] << 24 | _OCTETS[b] << 16 | _OCTETS[c] << 8 | _OCTETS[d]
        except KeyError:
            pass
    return _address6(text) if ":" in text and len(text) <= 45 else None


@lru_cache(maxsize=8192)
def _address6(text: str) -> tuple[int, int] | None:
    number = _groups(text) if _GROUPS.fullmatch(text) else _with_ipv4(text)
    if number is None:
        return None
    return (32, number & 0xFFFFFFFF) if number >> 32 == 0xFFFF else (128, number)


def _groups(text: str) -> int | None:
    """The number of an IPv6 address in hexadecimal groups, as `ipaddress` reads it, several times as fast."""
    head, gap, tail = text.partition("::")
    before = head.split(":") if head else []
    after = tail.split(":") if tail else []
    zeros = 8 - len(before) - len(after)
    if zeros < 1 if gap else zeros:
        return None
    number = 0
    for group in (*before, *("0",) * zeros, *after):
        if not 1 <= len(group) <= 4:
            return None
        number = number << 16 | int(group, 16)
    return number


def _with_ipv4(text: str) -> int | None:
    try:
        found = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return None if found.scope_id is not None else int(found)


class CidrList(KeyedList):
    """Addresses that lie in a listed network. Entries are spelled as in the file."""

    def __init__(self, source: Source, lines: dict[str, int], rows: dict[str, Row], tables: Tables) -> None:
        super().__init__(source, lines, rows)
        ordered = sorted(tables.items(), key=lambda item: item[0])
        self._tables = {bits: [(s, t) for (b, s), t in ordered if b == bits] for bits in (32, 128)}

    def contains(self, value: str) -> bool:
        """Whether the value is an address in a listed network."""
        found = address(value)
        if found is None:
            return False
        bits, number = found
        for shift, table in self._tables[bits]:  # noqa: SIM110 - any() with a generator takes twice the time
            if number >> shift in table:
                return True
        return False

    def covering(self, value: str) -> Iterator[str]:
        """The listed networks that the address lies in, the smallest first."""
        found = address(value)
        if found is None:
            return
        bits, number = found
        for shift, table in self._tables[bits]:
            entry = table.get(number >> shift)
            if entry is not None:
                yield entry


def load_cidrs(source: Source) -> CidrList:
    """Read a list of IP networks."""
    lines: dict[str, int] = {}
    rows: dict[str, Row] = {}
    tables: Tables = {}
    for line, entry, row in source.keyed():
        network = _network(source, line, entry)
        if network is None:
            continue
        bits, shift, prefix = network
        known = tables.setdefault((bits, shift), {}).setdefault(prefix, entry)
        if known in lines:
            source.twice(line, entry, lines[known], same=rows.get(known) == row)
            continue
        lines[entry] = line
        if row is not None:
            rows[entry] = row
    if not source.columns:
        source.covered([(lines[e], e, by, lines[by]) for e, by in _inside(tables)])
    return CidrList(source, lines, rows, tables)


def _network(source: Source, line: int, entry: str) -> tuple[int, int, int] | None:
    """The bits of an entry's addresses, those behind its prefix, and the prefix; None when that is told."""
    base, slash, tail = entry.partition("/")
    found = address(base)
    if found is None:
        source.problems.add(line, f"`{shorten(entry)}` is no IP address or network", _address_hint(entry))
        return None
    bits, number = found
    if not slash:
        return bits, 0, number
    widest = 128 if ":" in base else 32
    if not (tail.isascii() and tail.isdigit() and len(tail) <= 3 and int(tail) <= widest):
        message = f"`/{shorten(tail)}` is no length of a prefix"
        source.problems.add(line, message, f"a number from 0 to {widest}")
        return None
    shift = widest - int(tail)
    if shift > bits:
        message = f"`{shorten(entry)}` is neither an IPv4 nor an IPv6 network"
        source.problems.add(line, message, "write the IPv4 network, such as 10.0.0.0/8")
        return None
    prefix = number >> shift
    if prefix << shift != number:
        message = f"`{shorten(entry)}` has bits behind its prefix"
        network = f"{_spelled(bits, prefix << shift)}/{bits - shift}"
        source.problems.add(line, message, f"write {network}, or the address alone")
        return None
    return bits, shift, prefix


def _address_hint(entry: str) -> str:
    if "-" in entry and ":" not in entry:
        return "write a range of addresses as networks, such as 10.0.0.0/8"
    if "*" in entry:
        return "write 10.1.* as 10.1.0.0/16"
    if "." in entry and ":" in entry:
        return "write the address without its port"
    return "such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"


def _spelled(bits: int, number: int) -> str:
    return str(ipaddress.IPv4Address(number) if bits == 32 else ipaddress.IPv6Address(number))


def _inside(tables: Tables) -> Iterator[tuple[str, str]]:
    """Every entry whose network lies in another's, with the widest such."""
    found = [
        (bits, prefix << shift, -shift, entry)
        for (bits, shift), table in tables.items()
        for prefix, entry in table.items()
    ]
    found.sort()
    last: tuple[int, int, int, str] | None = None
    for bits, first, negative, entry in found:
        if last is not None and bits == last[0] and first >> -last[2] == last[1] >> -last[2]:
            yield entry, last[3]
        else:
            last = (bits, first, negative, entry)
