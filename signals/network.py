"""IP addresses, ranges of them, and places on the globe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from quell.grammar.types import BOOL, IP, NUMBER, TEXT
from quell.signals.exact import atan, cos_degrees, sin_degrees
from quell.signals.registry import Example, Function, Parameter

_LONGEST_IP = 45
_LONGEST_CIDR = 49
EARTH_RADIUS_KM = 6371.0088
"""The mean radius of the earth (IUGG's R1)."""


@lru_cache(maxsize=8_192)
def _canonical(text: str) -> str | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return None
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
    return str(found)


def ip(text: str) -> str | None:
    """The canonical spelling of an address, or None. An IPv4 address inside an IPv6 one is the IPv4 address."""
    return _canonical(text) if len(text) <= _LONGEST_IP else None


# ------------------------------------------------------------------- ranges

Range = tuple[int, int, int]
"""A range of addresses: 4 or 6, how many leading bits are fixed, and those bits as a number."""

_WIDTH = {4: 32, 6: 128}


def cidr(text: str) -> Range | None:
    """The range that `10.0.0.0/8` or a single address spells, or None. Bits past the prefix are ignored; an
    IPv6 range inside ::ffff:0:0/96 is the IPv4 range."""
    if len(text) > _LONGEST_CIDR or text.count("/") > 1 or "%" in text:
        return None
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    if not text.partition("/")[2].isdigit() and "/" in text:
        return None  # a netmask, as in 10.0.0.0/255.0.0.0
    version, bits = network.version, network.prefixlen
    start = int(network.network_address)
    if version == 6 and bits >= 96 and start >> 32 == 0xFFFF:
        version, bits, start = 4, bits - 96, start & 0xFFFFFFFF
    return version, bits, start >> (_WIDTH[version] - bits)


@lru_cache(maxsize=8_192)
def _number(address: str) -> tuple[int, int]:
    found = ip_address(address)
    return found.version, int(found)


class CidrSet:
    """Ranges of addresses, with what is known of each under the text that named it."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._by_length: dict[tuple[int, int], dict[int, str]] = {}
        self._lengths: dict[int, list[int]] = {4: [], 6: []}
        for entry in entries:
            self.add(entry)

    def add(self, entry: str) -> bool:
        """Add a range or address; False when it is none. Of two spellings of a range the first is kept."""
        found = cidr(entry)
        if found is None:
            return False
        version, bits, prefix = found
        if (version, bits) not in self._by_length:
            self._by_length[version, bits] = {}
            self._lengths[version] = sorted((*self._lengths[version], bits), reverse=True)
        self._by_length[version, bits].setdefault(prefix, entry)
        return True

    def find(self, address: str) -> list[str]:
        """The entries that hold an address in canonical spelling, the narrowest first. One look-up for each
        length of prefix that the set has, at most 33 or 129."""
        version, value = _number(address)
        width = _WIDTH[version]
        found: list[str] = []
        for bits in self._lengths[version]:
            entry = self._by_length[version, bits].get(value >> (width - bits))
            if entry is not None:
                found.append(entry)
        return found

    def __contains__(self, address: str) -> bool:
        version, value = _number(address)
        width = _WIDTH[version]
        return any(value >> (width - bits) in self._by_length[version, bits] for bits in self._lengths[version])

    def __len__(self) -> int:
        return sum(map(len, self._by_length.values()))


def cidr_contains(entry: str, address: str) -> bool:
    """Whether a range holds an address in canonical spelling; False when it is no range."""
    found = cidr(entry)
    if found is None:
        return False
    version, value = _number(address)
    return found[0] == version and value >> (_WIDTH[version] - found[1]) == found[2]


# Written out, because ipaddress.is_private changed its mind between versions of Python.
PRIVATE: Sequence[str] = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::/127",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
)
_PRIVATE = CidrSet(PRIVATE)


def is_private(address: str) -> bool:
    """Whether an address in canonical spelling is one that no host on the public internet has."""
    return address in _PRIVATE


# -------------------------------------------------------------------- globe


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float | None:
    """The great-circle distance of two points in degrees, to the metre, on a sphere of `EARTH_RADIUS_KM`; None
    for a point that is not on the globe. By the haversine formula."""
    if max(abs(lat1), abs(lat2)) > 90 or max(abs(lon1), abs(lon2)) > 180:
        return None
    half_lat = sin_degrees((lat2 - lat1) / 2)
    half_lon = sin_degrees((lon2 - lon1) / 2)
    h = half_lat * half_lat + cos_degrees(lat1) * cos_degrees(lat2) * half_lon * half_lon
    h = min(h, 1.0)
    near, far = math.sqrt(h), math.sqrt(1.0 - h)
    angle = atan(near / far) if near <= far else math.pi / 2 - atan(far / near)
    return math.floor(2 * EARTH_RADIUS_KM * angle * 1000 + 0.5) / 1000


_LAT_LON = tuple(Parameter(name, NUMBER) for name in ("lat1", "lon1", "lat2", "lon2"))

ROWS: tuple[Function, ...] = (
    Function(
        name="ip",
        group="network",
        doc="The address that a text spells, as an `ip`; missing when it spells none. `::ffff:192.0.2.1` is"
        " `192.0.2.1`. Leading zeros, ports and zones make it none.",
        parameters=(Parameter("x", TEXT),),
        result=IP.maybe(),
        call=ip,
        cost=0.4,
        examples=(
            Example('ip("2001:DB8::0001")', '"2001:db8::1"'),
            Example('ip("::ffff:192.0.2.1")', '"192.0.2.1"'),
            Example('ip("300.1.1.1")', "missing"),
        ),
    ),
    Function(
        name="is_private",
        group="network",
        doc="Whether no host on the public internet has this address: private and shared networks (10/8, 172.16/12,"
        " 192.168/16, 100.64/10, fc00::/7), loopback, link-local, unspecified. Addresses for documentation"
        " (192.0.2.0/24) are not private.",
        parameters=(Parameter("address", IP),),
        result=BOOL,
        call=is_private,
        cost=1.2,
        examples=(Example('is_private(ip("192.168.1.7"))', "true"), Example('is_private(ip("8.8.8.8"))', "false")),
    ),
    Function(
        name="distance_km",
        group="network",
        doc="The distance of two places on the globe in kilometres, to the metre, as the crow flies, from latitudes and"
        " longitudes in degrees. Missing when a latitude is beyond 90 or a longitude beyond 180.",
        parameters=_LAT_LON,
        result=NUMBER.maybe(),
        call=distance_km,
        cost=7.0,
        bounds=(0, 20_016),
        examples=(
            Example("distance_km(48.8566, 2.3522, 51.5074, -0.1278)", "343.557"),
            Example("distance_km(91, 0, 0, 0)", "missing"),
        ),
    ),
)
