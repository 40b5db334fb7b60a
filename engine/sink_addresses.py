"""Which addresses a webhook may reach: those of the public internet, and what its operator allows."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Written out, because what ipaddress calls private changed between versions of Python.
_INTERNAL: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by carriers"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "reserved"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "for measuring"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("64:ff9b:1::/48", "private"),
    ("100::/64", "reserved"),
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "for documentation"),
    ("3fff::/20", "for documentation"),
    ("5f00::/16", "reserved"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "private"),
    ("ff00::/8", "multicast"),
)
INTERNAL: tuple[tuple[Network, str], ...] = tuple((ip_network(text), kind) for text, kind in _INTERNAL)
_PUBLIC_6 = IPv6Network("2000::/3")
_HOLDS_IPV4: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("::/96"), 0),  # IPv4-compatible
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)
"""IPv6 networks whose addresses hold an IPv4 one, and how many bits follow it."""


def inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, or the address itself."""
    if isinstance(address, IPv6Address):
        for network, after in _HOLDS_IPV4:
            # :: and ::1 are addresses of their own
            if address in network and int(address) > 1:
                return IPv4Address((int(address) >> after) & 0xFFFFFFFF)
    return address


def kind_of(address: Address) -> str:
    """What sort of internal address it is, or "" for a public one."""
    meant = inner(address)
    for network, kind in INTERNAL:
        if meant.version == network.version and meant in network:
            return kind
    return "reserved" if isinstance(meant, IPv6Address) and meant not in _PUBLIC_6 else ""


def allowed(address: Address, allow: Sequence[Network]) -> bool:
    """Whether the operator named it, as it is or as the IPv4 address that it stands for."""
    return any(
        a.version == network.version and a in network for a in (address, inner(address)) for network in allow
    )


def parsed(text: str) -> Address | None:
    """An address as a resolver gives it, its zone left out; None for what is none."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def refusal(text: str, allow: Sequence[Network], secure: bool) -> str:
    """Why an address is not connected to, in words, or "". Without TLS (`secure`) only what the operator
    allows is."""
    address = parsed(text)
    if address is None:
        return f"{text} is no address"
    if allowed(address, allow):
        return ""
    kind = kind_of(address)
    if kind:
        return f"{text} is an internal address ({kind}), which [sinks] does not allow"
    return "" if secure else f"{text} is not in `allow`, and http:// reaches only what is"
