"""Lists of IP networks, looked up by address: one table per length of prefix."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from quell.signals.list_base import KeyedList, Row, Source, shorten

_OCTETS = {str(value): value for value in range(256)}
_MAPPED = 0xFFFF << 32


class Network(NamedTuple):
    """An IP network: how many bits its addresses have, its first address, and the length of its prefix."""

    bits: int
    first: int
    length: int


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
    try:
        found = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    if found.scope_id is not None:
        return None
    number = int(found)
    return (32, number & 0xFFFFFFFF) if number >> 32 == 0xFFFF else (128, number)


class CidrList(KeyedList):
    """Addresses that lie in a listed network."""

    def __init__(
        self, source: Source, lines: dict[str, int], rows: dict[str, Row], networks: dict[Network, str]
    ) -> None:
        super().__init__(source, lines, rows)
        tables: dict[tuple[int, int], dict[int, str]] = {}
        for network, entry in networks.items():
            shift = network.bits - network.length
            tables.setdefault((network.bits, shift), {})[network.first >> shift] = entry
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
    networks: dict[Network, str] = {}
    for line, entry, row in source.keyed():
        network = _network(source, line, entry)
        if network is None:
            continue
        known = networks.get(network)
        if known is not None:
            source.twice(line, entry, lines[known], same=rows.get(known) == row)
            continue
        spelled = spell(network)
        networks[network] = spelled
        lines[spelled] = line
        if row is not None:
            rows[spelled] = row
    if not source.columns:
        source.covered([(lines[e], e, by, lines[by]) for e, by in _inside(networks)])
    return CidrList(source, lines, rows, networks)


def _network(source: Source, line: int, entry: str) -> Network | None:
    base, slash, tail = entry.partition("/")
    found = address(base)
    if found is None:
        source.problems.add(line, f"`{shorten(entry)}` is no IP address or network", _address_hint(entry))
        return None
    bits, number = found
    widest = 128 if ":" in base else 32
    if not slash:
        return Network(bits, number, bits)
    if not (tail.isascii() and tail.isdigit() and len(tail) <= 3 and int(tail) <= widest):
        source.problems.add(
            line, f"`/{shorten(tail)}` is no length of a prefix", f"a number from 0 to {widest}"
        )
        return None
    length = int(tail)
    if bits != widest:  # an IPv4 network spelled as IPv6
        if length < 96:
            message = f"`{shorten(entry)}` is neither an IPv4 nor an IPv6 network"
            source.problems.add(line, message, "write the IPv4 network, such as 10.0.0.0/8")
            return None
        length -= 96
    shift = bits - length
    first = number >> shift << shift
    if first != number:
        network = spell(Network(bits, first, length))
        source.problems.add(
            line, f"`{shorten(entry)}` has bits behind its prefix", f"write {network}, or the address alone"
        )
        return None
    return Network(bits, first, length)


def _address_hint(entry: str) -> str:
    if "-" in entry and ":" not in entry:
        return "write a range of addresses as networks, such as 10.0.0.0/8"
    if "*" in entry:
        return "write 10.1.* as 10.1.0.0/16"
    if "." in entry and ":" in entry:
        return "write the address without its port"
    return "such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"


def spell(network: Network) -> str:
    """A network as text: ``10.0.0.0/8``, and a network of one address as that address."""
    kind = ipaddress.IPv4Address if network.bits == 32 else ipaddress.IPv6Address
    tail = "" if network.length == network.bits else f"/{network.length}"
    return f"{kind(network.first)}{tail}"


def _inside(networks: dict[Network, str]) -> Iterator[tuple[str, str]]:
    """Every network that lies in another, with the widest such."""
    widest: Network | None = None
    for network in sorted(networks, key=lambda n: (n.bits, n.first, n.length)):
        if widest is not None and network.bits == widest.bits:
            shift = widest.bits - widest.length
            if network.first >> shift == widest.first >> shift:
                yield networks[network], networks[widest]
                continue
        widest = network
