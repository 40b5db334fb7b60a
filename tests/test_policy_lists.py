"""Policy lists: what files may hold, what is found in them, and what is said of files that are wrong."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.grammar.codes import CODES
from quell.grammar.types import DURATION, IP, NUMBER, TEXT, TIME, Type
from quell.signals import list_files
from quell.signals.list_cidrs import address
from quell.signals.list_domains import listed_host
from quell.signals.policy_lists import KINDS, load_list
from tests.list_loading import good, load, said, told

# --------------------------------------------------------------------- files


def test_plain_files() -> None:
    text = "\ufeff# a comment\r\n\r\n  one  \r\n#two\r\n\\#three\nfour # why\nfive#6\n\\#7 # 8\nlast"
    made = good("exact", text)
    assert made.entries() == ["one", "#three", "four", "five#6", "#7", "last"]
    assert len(made) == 6
    assert made.kind == "exact"
    assert made.name == "l"
    assert made.file == "lists/l.txt"
    assert good("exact", text).digest == made.digest != good("exact", "a").digest


def test_files_that_are_no_text() -> None:
    assert said("exact", b"ok\n\xff\xfe\n") == [(2, "byte 1 of the line is not UTF-8")]
    assert said("exact", b"caf\xe9\nok\nna\xefve") == [
        (1, "byte 4 of the line is not UTF-8"),
        (3, "byte 3 of the line is not UTF-8"),
    ]
    assert said("words", "a\nb\0c") == [(2, "the line has a zero byte: this is no text file")]
    assert said("exact", "a\nb".encode("utf-16")) == [(1, "the file is UTF-16, not UTF-8")]
    assert said("exact", "ok\n" + "x" * 10_001) == [
        (2, "the line has 10,001 characters, and 10,000 are allowed")
    ]


def test_an_empty_file_is_an_empty_list() -> None:
    for kind_ in KINDS:
        for text in ("", "\n", "# nothing\n", "\ufeff"):
            loaded = load(kind_, text)
            assert told(loaded) == [(0, "empty-list", "the list has no entries")]
            assert loaded.list is not None
            assert len(loaded.list) == 0
            assert loaded.list.entries() == []
            assert not loaded.list.contains("a.b")
            assert not loaded.list.matches("")
            assert loaded.list.found("1.2.3.4") == []
            assert loaded.list.row("x") is None


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_files, "MAX_BYTES", 1 << 20)
    loaded = load("exact", "a" * (1 << 20) + "\n")
    assert loaded.list is None
    assert told(loaded) == [(0, "bad-list-file", "the file is 1 MB large, and a list may have 1 MB")]
    many = "\n".join(f"/x{i}/" for i in range(20_001))
    loaded = load("patterns", many)
    assert loaded.list is None
    assert told(loaded) == [(20_001, "bad-list-file", "the list has more than 20,000 entries")]


def test_problems_are_not_endless() -> None:
    loaded = load("cidrs", "x\n" * 3 + "1.1.1.1\n" * 1000 + "y\n" * 500)
    messages = [(p.line, p.severity) for p in loaded.problems]
    assert len(messages) == 42
    assert messages[:3] == [(1, "error"), (2, "error"), (3, "error")]
    assert [p.message for p in loaded.problems[-2:]] == [
        "and 483 more errors from here on",
        "and 979 more warnings from here on",
    ]
    assert [p.line for p in loaded.problems[-2:]] == [1021, 25]
    assert {p.code for p in loaded.problems} == {"bad-list-file", "duplicate-entry"}


def test_blocks_meet_at_line_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"wörd{i}\n" for i in range(500)) + "ende"
    expected = good("exact", text).entries()
    assert len(expected) == 501
    for size in (1, 2, 7, 100, 4096):
        monkeypatch.setattr(list_files, "_BLOCK", size)
        assert good("exact", text).entries() == expected
        # The number of a line is right in whichever block it stands.
        assert said("exact", text.encode() + b"\nx\xff")[0][0] == 502


@given(
    st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda t: t.encode("utf-8", "surrogatepass"))),
    st.sampled_from(KINDS),
    st.sampled_from([(), (("country", TEXT), ("lat", NUMBER)), (("a", TIME), ("b", DURATION), ("c", IP))]),
    st.text(max_size=10),
)
def test_no_file_raises(data: bytes, kind_: str, columns: tuple[tuple[str, Type], ...], value: str) -> None:
    head = ("key," + ",".join(c for c, _ in columns) + "\n").encode() if columns else b""
    for content in (data, head + data):
        loaded = load_list("l", "f", content, kind_, columns)
        assert (loaded.list is None) == any(p.severity == "error" for p in loaded.problems)
        for problem in loaded.problems:
            assert problem.severity == CODES[problem.code].severity
            problem.message.encode()
        if loaded.list is not None:
            assert len(loaded.list) == len(loaded.list.entries())
            assert loaded.list.contains(value) == bool(loaded.list.found(value))
            for entry in loaded.list.entries()[:20]:
                assert loaded.list.contains(entry) or kind_ in ("words", "patterns", "cidrs")


# --------------------------------------------------------- exact and prefixes


def test_exact() -> None:
    made = good("exact", "Ann\nbob\n12 34\n")
    assert made.contains("Ann")
    assert not made.contains("ann")
    assert made.contains("12 34")
    assert made.found("bob") == ["bob"]
    assert made.found("b") == []


def test_prefixes() -> None:
    made = good("prefixes", "+44\n+4170\nhttp://evil\n")
    assert made.contains("+4420")
    assert made.contains("+44")
    assert not made.contains("+4")
    assert not made.contains("0+44")
    assert made.found("+417012") == ["+4170"]
    assert told(load("prefixes", "+44\n+4420\n+44\n+442055")) == [
        (2, "duplicate-entry", "`+4420` is covered by `+44` on line 1"),
        (3, "duplicate-entry", "`+44` is already on line 1"),
        (4, "duplicate-entry", "`+442055` is covered by `+44` on line 1"),
    ]


@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=6), st.text("abc", max_size=6))
def test_prefixes_like_startswith(entries: list[str], value: str) -> None:
    loaded = load("prefixes", "\n".join(entries))
    assert loaded.list is not None
    covering = sorted({e for e in entries if value.startswith(e)}, key=len, reverse=True)
    assert loaded.list.contains(value) == bool(covering)
    assert loaded.list.found(value) == covering
    covered = [e for e in entries if any(o != e and e.startswith(o) for o in entries)]
    repeated = len(entries) - len(set(entries))
    assert len(loaded.problems) == len(set(covered)) + repeated


# ------------------------------------------------------------------- domains


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("http://user:pw@Sub.Example.com:8080/a?b#c", "sub.example.com"),
        ("https://example.com\\@other.org", "example.com"),
        ("//example.com/x@y", "example.com"),
        ("example.com/x@y.org", "example.com"),
        ("bob@example.com", "example.com"),
        ("mailto:bob@example.com?subject=a@b.c", "example.com"),
        ("ht\ntps://exa\tmple.com", "example.com"),
        ("https:example.com", "example.com"),
        ("bücher.de", "bücher.de"),
        ("BÜCHER.de", "bücher.de"),
        ("xn--bcher-kva.de", "bücher.de"),
        ("XN--BCHER-KVA.DE", "bücher.de"),
        ("bu\u0308cher。de", "bücher.de"),
        ("\uff45\uff58ample\uff0ecom", "example.com"),
        ("exa%6Dple.com", "example.com"),
        ("http://exa%6Dple%2Ecom/", "example.com"),
        ("straße.de", "straße.de"),
        ("192.0.2.7:80", "192.0.2.7"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("  example.com\n", "example.com"),
        ("xn--99999999999.com", "xn--99999999999.com"),
        ("", None),
        ("http://", None),
        ("a b.com", None),
        ("a..b", None),
        ("[2001:db8::1]", None),
        ("ex℀mple.com", None),
        ("a." * 200 + "com", None),
        ("x" * 30_000, None),
        ("\ud800.com", "\ud800.com"),
    ],
)
def test_the_host_of_a_text(text: str, host: str | None) -> None:
    assert listed_host(text) == host


def test_domains() -> None:
    made = good("domains", "evil.com\nBÜCHER.example\nco.uk\n192.0.2.7\nzip\n")
    for value in (
        "evil.com",
        "a.b.evil.com",
        "https://www.EVIL.com./x",
        "bob@mail.evil.com",
        "xn--bcher-kva.example",
        "shop.bücher.example",
        "a.co.uk",
        "http://192.0.2.7/",
        "a.zip",
    ):
        assert made.contains(value), value
    for value in ("notevil.com", "evil.com.org", "com", "uk", "1.192.0.2.7x", "bucher.example", "", "a@evil"):
        assert not made.contains(value), value
    assert made.found("a.evil.com") == ["evil.com"]
    assert made.entries() == ["evil.com", "bücher.example", "co.uk", "192.0.2.7", "zip"]


def test_domains_that_are_none() -> None:
    loaded = load(
        "domains",
        "*.evil.com\nhttp://evil.com/path\nbob@evil.com\n.evil.com\n||evil.com^\n0.0.0.0 evil.com\n"
        "evil.com:80\n1.2.3\n300.1.1.1\n::1\n?\nexa mple.com\n" + "a" * 300 + ".com\n",
    )
    assert loaded.list is None
    assert [(p.line, p.hint) for p in loaded.problems] == [
        (1, "write `evil.com`: it covers its subdomains"),
        (2, "write `evil.com`"),
        (3, "write `evil.com`"),
        (4, "write `evil.com`: it covers its subdomains"),
        (5, "write `evil.com` alone"),
        (6, "write `evil.com` alone"),
        (7, "write `evil.com`"),
        (8, "for addresses use a list as cidrs"),
        (9, "for addresses use a list as cidrs"),
        (10, "such as example.com"),
        (11, "such as example.com"),
        (12, "write `mple.com` alone"),
        (13, "such as example.com"),
    ]


def test_domains_that_are_superfluous() -> None:
    assert told(load("domains", "a.evil.com\nevil.com\nEVIL.com.\nx.a.evil.com\nother.org")) == [
        (1, "duplicate-entry", "`a.evil.com` is covered by `evil.com` on line 2"),
        (3, "duplicate-entry", "`evil.com` is already on line 2"),
        (4, "duplicate-entry", "`x.a.evil.com` is covered by `evil.com` on line 2"),
    ]


LABELS = st.lists(st.sampled_from(["a", "b", "cc", "d-d"]), min_size=1, max_size=4).map(".".join)


@given(st.lists(LABELS, min_size=1, max_size=5), LABELS)
def test_domains_like_suffixes_of_labels(entries: list[str], host: str) -> None:
    loaded = load("domains", "\n".join(entries))
    assert loaded.list is not None
    labels = host.split(".")
    covering = [s for s in (".".join(labels[i:]) for i in range(len(labels))) if s in entries]
    assert loaded.list.found(host) == covering
    for value in (host, f"https://u@{host.upper()}:1/{entries[0]}", f"x@{host}."):
        assert loaded.list.contains(value) == bool(covering)


# --------------------------------------------------------------------- cidrs


def test_cidrs() -> None:
    made = good("cidrs", "10.0.0.0/8\n192.0.2.7\n2001:db8::/32\n::ffff:198.51.100.0/120\n")
    for value in (
        "10.255.0.1",
        "192.0.2.7",
        "2001:DB8:0::1",
        "198.51.100.200",
        "::ffff:10.0.0.1",
        "::ffff:a00:1",
    ):
        assert made.contains(value), value
    for value in (
        "11.0.0.0",
        "192.0.2.8",
        "2001:db9::",
        "10.0.0",
        "10.0.0.01",
        "10.0.0.1/8",
        "",
        "x",
        "fe80::1%eth0",
    ):
        assert not made.contains(value), value
    assert made.entries() == ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.0/120"]
    everything = good("cidrs", "0.0.0.0/0\n")
    assert everything.contains("8.8.8.8")
    assert not everything.contains("::1")


def test_cidrs_that_are_none() -> None:
    loaded = load(
        "cidrs",
        "10.0.0.1/8\n10.0.0.0/33\n10.0.0.0/x\n10.1.*\n10.0.0.1-10.0.0.9\nevil.com\n1.2.3.4:80\n2001:db8::1/32\n"
        "::/129\n::ffff:0:0/90\n010.0.0.1\nfe80::1%eth0\n",
    )
    assert loaded.list is None
    assert [(p.line, p.message, p.hint) for p in loaded.problems] == [
        (1, "`10.0.0.1/8` has bits behind its prefix", "write 10.0.0.0/8, or the address alone"),
        (2, "`/33` is no length of a prefix", "a number from 0 to 32"),
        (3, "`/x` is no length of a prefix", "a number from 0 to 32"),
        (4, "`10.1.*` is no IP address or network", "write 10.1.* as 10.1.0.0/16"),
        (
            5,
            "`10.0.0.1-10.0.0.9` is no IP address or network",
            "write a range of addresses as networks, such as 10.0.0.0/8",
        ),
        (6, "`evil.com` is no IP address or network", "such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"),
        (7, "`1.2.3.4:80` is no IP address or network", "write the address without its port"),
        (8, "`2001:db8::1/32` has bits behind its prefix", "write 2001:db8::/32, or the address alone"),
        (9, "`/129` is no length of a prefix", "a number from 0 to 128"),
        (
            10,
            "`::ffff:0:0/90` is neither an IPv4 nor an IPv6 network",
            "write the IPv4 network, such as 10.0.0.0/8",
        ),
        (11, "`010.0.0.1` is no IP address or network", "such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"),
        (12, "`fe80::1%eth0` is no IP address or network", "such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"),
    ]


def test_cidrs_that_are_superfluous() -> None:
    assert told(
        load("cidrs", "10.1.0.0/16\n10.0.0.0/8\n10.0.0.0/8\n10.255.255.255/32\n11.0.0.0/8\n::/0\n::1")
    ) == [
        (1, "duplicate-entry", "`10.1.0.0/16` is covered by `10.0.0.0/8` on line 2"),
        (3, "duplicate-entry", "`10.0.0.0/8` is already on line 2"),
        (4, "duplicate-entry", "`10.255.255.255/32` is covered by `10.0.0.0/8` on line 2"),
        (7, "duplicate-entry", "`::1` is covered by `::/0` on line 6"),
    ]


def _other(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return found.exploded.upper() if found.version == 6 else f"::ffff:{found}"


@st.composite
def networks(draw: st.DrawFn) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    # Few distinct bits, so that networks often lie in each other.
    if draw(st.booleans()):
        number = draw(st.sampled_from([0x0A000000, 0x0A010203, 0x0A01FF00, 0xC0000207]))
        return ipaddress.IPv4Network((number, draw(st.sampled_from([8, 15, 16, 24, 31, 32]))), strict=False)
    number6 = draw(st.sampled_from([1, 0x20010DB8 << 96, (0x20010DB8 << 96) + 5, 0xFFFF0A010203]))
    return ipaddress.IPv6Network((number6, draw(st.sampled_from([97, 112, 127, 128]))), strict=False)


def _mapped(
    found: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if found.version == 6 and int(found.network_address) >> 32 == 0xFFFF:
        return ipaddress.IPv4Network((int(found.network_address) & 0xFFFFFFFF, found.prefixlen - 96))
    return found


@given(st.lists(networks(), min_size=1, max_size=6), networks(), st.integers(0, 2))
def test_cidrs_like_ipaddress(
    entries: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    near: ipaddress.IPv4Network | ipaddress.IPv6Network,
    step: int,
) -> None:
    loaded = load("cidrs", "\n".join(map(str, entries)))
    assert loaded.list is not None
    address = near.network_address + step
    mapped = _mapped(ipaddress.ip_network(address)).network_address
    unique = {_mapped(e): str(e) for e in reversed(entries)}  # the first spelling of each
    covering = [e for e in unique if e.version == mapped.version and mapped in e]
    covering.sort(key=lambda e: -e.prefixlen)
    assert loaded.list.found(str(address)) == [unique[e] for e in covering]
    assert loaded.list.contains(str(address)) == bool(covering)
    inside = sum(any(_subnet(e, o) for o in unique if o != e) for e in unique)
    assert len(loaded.problems) == inside + len(entries) - len(unique)


@given(
    st.one_of(st.text("0a1fF:.%é +_", max_size=12), st.ip_addresses().map(str), st.ip_addresses().map(_other))
)
def test_addresses_like_ipaddress(text: str) -> None:
    try:
        expected: ipaddress.IPv4Address | ipaddress.IPv6Address | None = ipaddress.ip_address(text)
    except ValueError:
        expected = None
    if isinstance(expected, ipaddress.IPv6Address):
        expected = None if expected.scope_id is not None else expected.ipv4_mapped or expected
    assert address(text) == (None if expected is None else (expected.max_prefixlen, int(expected)))


def _subnet(
    inner: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


# ------------------------------------------------------------------ patterns


def test_patterns() -> None:
    made = good("patterns", "# one a line\nfree\\s+nitro\n/t\\.me\\/\\w+/i\n/^x/m\na # b\n")
    assert made.entries() == ["free\\s+nitro", "/t\\.me\\/\\w+/i", "/^x/m", "a # b"]
    assert made.found("T.ME/abc and free  nitro\nx a # b") == [
        "/t\\.me\\/\\w+/i",
        "free\\s+nitro",
        "/^x/m",
        "a # b",
    ]
    assert made.matches("free nitro")
    assert not made.matches("FREE nitro")


def test_patterns_that_are_none() -> None:
    loaded = load("patterns", "ok\na(?=b)\n/a[/i\n/foo/bar\nfoo|\nok\n/ok/\n")
    assert loaded.list is None
    assert [(p.line, p.code, p.message) for p in loaded.problems] == [
        (
            2,
            "bad-list-file",
            "look-ahead needs more than linear time, so patterns do not have it (character 2 of `a(?=b)`)",
        ),
        (3, "bad-list-file", "this `[` does not close (character 3 of `/a[/i`)"),
        (4, "bad-list-file", "`b` is no flag of a pattern (character 6 of `/foo/bar`)"),
        (5, "regex-whole", "the pattern matches every text, because a branch of it is empty (in `foo|`)"),
        (6, "duplicate-entry", "`ok` is already on line 1"),
        (7, "duplicate-entry", "`/ok/` is already on line 1"),
    ]


# ---------------------------------------------------------------------- size


LARGE: dict[str, Callable[[int], str]] = {
    "exact": lambda i: f"user-{i}",
    "domains": lambda i: f"host{i}.example{i % 977}.com",
    "cidrs": lambda i: f"{i >> 12 & 255}.{i >> 4 & 255}.{(i & 15) << 4}.0/28",
    "prefixes": lambda i: f"+{i:07}",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGE)
def test_a_large_list_loads_and_answers(kind: str) -> None:
    count = 200_000
    made = good(kind, "\n".join(LARGE[kind](i) for i in range(count)))
    assert len(made) == count
    assert made.contains(LARGE[kind](count - 1).removesuffix("/28"))
    assert not made.contains("9.9.9.9")
