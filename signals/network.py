"""IP addresses, and places on the globe."""

from __future__ import annotations

import math
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from quell.grammar.types import BOOL, IP, NUMBER, TEXT
from quell.signals.exact import atan, cos_degrees, sin_degrees
from quell.signals.list_cidrs import address
from quell.signals.registry import Example, Function, Parameter

_LONGEST_IP = 45
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
    """The canonical spelling of an address, or None. An IPv4 address in an IPv6 one is the IPv4 address."""
    return _canonical(text) if len(text) <= _LONGEST_IP else None


# ------------------------------------------------------------------ private

# Written out, because ipaddress.is_private changed its mind between versions of Python.
PRIVATE = (
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
_RANGES = sorted(
    (n.max_prefixlen, int(n.network_address), int(n.broadcast_address)) for n in map(ip_network, PRIVATE)
)


def is_private(value: str) -> bool:
    """Whether no host on the public internet has this address."""
    found = address(value)
    if found is None:
        return False
    bits, number = found
    return any(b == bits and first <= number <= last for b, first, last in _RANGES)


# -------------------------------------------------------------------- globe


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float | None:
    """The great-circle distance of two points in degrees, to the metre, by the haversine formula.

    On a sphere of `EARTH_RADIUS_KM`; None for a point that is not on the globe."""
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
        cost=0.2,
        examples=(
            Example('ip("2001:DB8::0001")', '"2001:db8::1"'),
            Example('ip("::ffff:192.0.2.1")', '"192.0.2.1"'),
            Example('ip("300.1.1.1")', "missing"),
        ),
    ),
    Function(
        name="is_private",
        group="network",
        doc="Whether no host on the public internet has this address: private and shared networks (10/8,"
        " 172.16/12, 192.168/16, 100.64/10, fc00::/7), loopback, link-local, unspecified. Addresses for"
        " documentation (192.0.2.0/24) are not private.",
        parameters=(Parameter("x", IP),),
        result=BOOL,
        call=is_private,
        cost=1.6,
        examples=(
            Example('is_private(ip("192.168.1.7"))', "true"),
            Example('is_private(ip("8.8.8.8"))', "false"),
        ),
    ),
    Function(
        name="distance_km",
        group="network",
        doc="The distance of two places on the globe in kilometres, to the metre, as the crow flies, from"
        " latitudes and longitudes in degrees. Missing when a latitude is beyond 90 or a longitude beyond"
        " 180.",
        parameters=_LAT_LON,
        result=NUMBER.maybe(),
        call=distance_km,
        cost=5.0,
        bounds=(0, 20_016),
        examples=(
            Example("distance_km(48.8566, 2.3522, 51.5074, -0.1278)", "343.557"),
            Example("distance_km(91, 0, 0, 0)", "missing"),
        ),
    ),
)
