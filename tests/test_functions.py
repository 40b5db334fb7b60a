"""What single functions give, function by function. Their examples in the registry run in test_language."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from quell.grammar.types import IP, NUMBER, TEXT
from quell.signals import (
    characters,
    links,
    network,
    numbers,
    sequences,
    text,
    text_bands,
    text_finders,
    times,
)
from quell.signals.functions import REGISTRY
from quell.signals.text_measures import (
    COMPARED,
    digit_ratio,
    edit_distance,
    entropy,
    repeat_ratio,
    script,
    scripts,
    similarity,
    upper_ratio,
)
from quell.signals.text_normalise import fingerprint, normalise

WORDS_OF_THE_LANGUAGE = """
length lower upper trim normalise words replace extract split slice urls domains emails phones mentions
hashtags emojis upper_ratio digit_ratio repeat_ratio entropy similarity edit_distance fingerprint bands hash
script host domain path is_shortener is_disposable_email ip is_private distance_km size first last overlap
distinct_of abs min max round floor ceil log sqrt clamp hour_of_day day_of_week date
"""


# ---------------------------------------------------------------- the registry


def test_every_function_an_analyst_expects_is_there() -> None:
    assert sorted(set(WORDS_OF_THE_LANGUAGE.split()) - set(REGISTRY.names())) == []


@pytest.mark.parametrize("row", [r for r in REGISTRY.rows() if not r.form], ids=lambda r: r.name)
def test_rows_are_complete(row: Any) -> None:
    assert row.doc.endswith((".", ")"))
    assert "  " not in row.doc
    assert row.examples
    assert row.cost > 0
    literals = [p for p in row.parameters if p.literal]
    assert not literals or row.prepare is not None, "a literal argument goes to prepare"
    required = [p.default is None for p in row.parameters]
    assert required == sorted(required, reverse=True), "what can be left out stands last"
    if row.attribute:
        assert [p.type for p in row.parameters] in ([TEXT], [IP])
    if row.result.present() == NUMBER and row.name not in ("round", "floor", "ceil", "number"):
        assert row.bounds is not None, "say between which numbers it lies"


def test_attributes_are_the_questions_to_links_and_addresses() -> None:
    named = [r.name for r in REGISTRY.rows() if r.attribute]
    assert named == ["domain", "host", "is_disposable_email", "is_shortener", "path"]


# ------------------------------------------------------------------------ text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ABC", "abc"),
        ("\u0391\u03a3 \u03a3", "\u03b1\u03c3 \u03c3"),  # a sigma is a sigma, at the end of a word too
        ("\u0130", "i"),
        ("Straße", "straße"),
    ],
)
def test_lower(written: str, expected: str) -> None:
    assert characters.lower(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"), [("abc", "ABC"), ("ß", "ẞ"), ("ŉ", "ŉ"), ("ǆ", "Ǆ"), ("ᾳ", "ᾼ"), ("ﬁ", "ﬁ")]
)
def test_upper(written: str, expected: str) -> None:
    assert characters.upper(written) == expected


def test_trim_takes_every_white_space_and_nothing_else() -> None:
    assert text.trim("\t\u3000\u2028 a b\x85\xa0\r\n") == "a b"
    assert text.trim("\u200ba\u200b") == "\u200ba\u200b"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 2, "ab"), (-2, text.TO_THE_END, "de"), (1.9, 3.9, "bc"), (3, 1, ""), (9, 99, ""), (-99, 2, "ab")],
)
def test_slice(start: float, end: float, expected: str) -> None:
    assert text.cut("abcde", start, end) == expected
    assert text.cut("abcde", -1e300, 1e300) == "abcde"


def test_split() -> None:
    assert text.split("a,b", "") == ["a,b"]
    assert text.split("", ",") == [""]
    assert len(text.split("," * 50_000, ",")) == 10_000


def test_hash_is_a_whole_number_of_52_bits() -> None:
    assert text.hash_of("") == 0xE3B0C44298FC1
    assert text.hash_of("é") != text.hash_of("e")


# -------------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("pattern", "flags", "given", "expected"),
    [
        ("b+", "", "aabba", "bb"),
        ("(b)(a)", "", "aabba", "b"),
        ("x|(y)", "", "x", None),
        ("É", "i", "caf\u00e9s", "\u00e9"),
        ("^b", "m", "a\nb", "b"),
        ("z", "", "abc", None),
        ("", "", "abc", ""),
    ],
)
def test_extract(pattern: str, flags: str, given: str, expected: str | None) -> None:
    assert text.extractor((pattern, flags))(given) == expected


@pytest.mark.parametrize(
    ("old", "new", "given", "expected"),
    [
        ("a", "", "banana", "bnn"),
        ("aa", "b", "aaaaa", "bba"),
        (("[ab]", ""), "x", "abc", "xxc"),
        (("(a)(b)?", ""), "<\\1\\2>", "aab", "<a><ab>"),
        (("x*", ""), "-", "abxd", "-a-b-d-"),
        (("", ""), "-", "日本", "-日-本-"),
        (("$", ""), "!", "é", "é!"),
        (("a", "i"), "\\\\", "A", "\\"),
    ],
)
def test_replace(old: Any, new: str, given: str, expected: str) -> None:
    assert text.replacer(old, new)(given) == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "x", "the text to replace is empty"),
        (("a", ""), "\\1", "the replacement names group 1, and the pattern has 0"),
        (("a", ""), "\\x", "in the replacement, `\\` stands before the number of a group or another `\\`"),
        (("a", ""), "\\", "in the replacement, `\\` stands before the number of a group or another `\\`"),
    ],
)
def test_replace_refuses(old: Any, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        text.replacer(old, new)


def test_a_replacement_cannot_make_a_text_of_any_size() -> None:
    assert len(text.replacer("a", "b" * 10_000)("a" * 10_000)) == 2_000_000
    assert len(text.replacer(("a", ""), "b" * 10_000)("a" * 10_000)) == 2_000_000
    assert text.replacer(("a", ""), "b")("a" * 1_001) == "b" * 1_000 + "a"


# ------------------------------------------------------------------- normalise


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", ""),
        ("  Free \t\n NITRO ", "free nitro"),
        ("f\u200br\u00ade\u2060e", "free"),
        ("\ufb01ne \u2460 \u00bd", "fine 1 1\u20442"),
        ("Z\u0335a\u0489l\u0300g\u0301o", "zalgo"),
        ("\u00d8\u0142\u0111\u0131 \u1d00\u0299\u1d04 \U0001f170\U0001f171", "oldi abc ab"),
        ("Stra\u00dfe \u00c6on", "strasse aeon"),
        ("\u0661\u0662\u0663", "123"),
        # words that imitate, in Cyrillic and Greek letters
        ("\u0440\u0430\u0443\u0440\u0430l", "paypal"),
        ("\u0440\u0430\u0443", "pay"),
        ("\u0397\u0391R\u0392\u039fUR", "harbour"),
        ("\u20acuro \u00a2ash", "euro cash"),
        # words of their own, in capitals too
        ("\u041f\u0440\u0438\u0432\u0435\u0442", "\u043f\u0440\u0438\u0432\u0435\u0442"),
        ("\u0412\u041e\u0422", "\u0432\u043e\u0442"),
        (
            "\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1",
            "\u03ba\u03b1\u03bb\u03b7\u03bc\u03b5\u03c1\u03b1",
        ),
        ("\u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 \u30ac", "\u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 \u30ac"),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", "\u0928\u092e\u0938\u094d\u0924\u0947"),
        # digits and signs for letters
        ("fr33 n1tr0 c@$h g!ft b00b5 $ale", "free nitro cash gift boobs sale"),
        ("100k 5g 2nd $100 $5m 2026", "100k 5g 2nd $100 $5m 2026"),
        ("anna1990 covid19 room101", "anna1990 covid19 room101"),
        ("@admin wow!!! a|b", "@admin wow!!! alb"),
    ],
)
def test_normalise(written: str, expected: str) -> None:
    assert normalise(written) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Free N1tro!!", "free   nitro", True),
        ("f.r.e.e", "FREE", True),
        ("\U0001f525 free \U0001f525", "free", True),
        ("code 1234", "code 1235", False),
        ("\U0001f600", "\U0001f601", False),
        ("!!!", "! ! !", True),
        ("!!!", "???", False),
    ],
)
def test_fingerprint(one: str, other: str, same: bool) -> None:
    assert (fingerprint(one) == fingerprint(other)) is same


def test_bands_are_shared_by_near_duplicates_only() -> None:
    first = text_bands.bands("Claim your free nitro now at bonus-drop dot test, only today! #4711")
    near = text_bands.bands("claim your FREE nitro n0w at bonus-drop dot test, only today!! #0815")
    far = text_bands.bands("The meeting moved to Thursday at ten, bring the slides please, thanks")
    assert len(first) == len(set(first)) == text_bands.BANDS
    assert set(first) & set(near)
    assert not set(first) & set(far)
    assert text_bands.bands("elevenchars") == []
    assert len(text_bands.bands("twelvecharss")) == text_bands.BANDS


def test_bands_agree_as_often_as_their_documentation_says() -> None:
    """Of pairs with the share J of their pieces in common, 1 - (1 - J**3)**8 have a key in common."""
    found: dict[float, list[bool]] = {}
    for number in range(1_200):
        words = [f"{text.hash_of(f'{number} {place}'):x}"[:6] for place in range(20)]
        changed = [f"{text.hash_of(f'{number} {place} new'):x}"[:6] for place in range(1 + number % 10)]
        one, other = "".join(words), "".join(words[: 20 - len(changed)] + changed)
        pieces = [{t[at : at + 4] for at in range(len(t) - 3)} for t in (one, other)]
        likeness = round(len(pieces[0] & pieces[1]) / len(pieces[0] | pieces[1]), 1)
        common = bool(set(text_bands.bands(one)) & set(text_bands.bands(other)))
        found.setdefault(likeness, []).append(common)
    enough = {j: sum(hits) / len(hits) for j, hits in found.items() if len(hits) >= 100}
    assert len(enough) >= 4
    for likeness, share in enough.items():
        assert share == pytest.approx(1 - (1 - likeness**3) ** 8, abs=0.12)


# -------------------------------------------------------------------- measures


def test_ratios() -> None:
    assert upper_ratio("ABcd 123") == 0.5
    assert upper_ratio("ÀÉé") == 2 / 3
    assert upper_ratio("日本") == upper_ratio("") == 0
    assert digit_ratio("a1\u0662\u0663") == 0.75
    assert digit_ratio("") == 0
    assert repeat_ratio("a" * 12) == 0.9
    assert repeat_ratio("Abab") == repeat_ratio("abAB") == 0
    assert repeat_ratio("abcABC") == 0.25
    assert repeat_ratio("") == repeat_ratio("abc") == 0


@pytest.mark.parametrize(
    ("given", "bits"),
    [("", 0), ("aa", 0), ("ab", 1), ("aabb", 1), ("abcdefgh", 3), ("aab", 0.9182958340544896)],
)
def test_entropy(given: str, bits: float) -> None:
    assert entropy(given) == pytest.approx(bits, abs=1e-15)
    assert entropy(given) == entropy(given[::-1])


def test_likeness() -> None:
    assert edit_distance("kitten", "sitting") == 3
    assert similarity("", "") == 1
    assert similarity("", "abc") == 0
    assert similarity("abcd", "abed") == 0.75
    long = "a" * (COMPARED + 100)
    assert edit_distance(long, long + "b") == 0
    assert similarity(long + "b", long) == 1
    assert similarity(long, "b" * 10) == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("hello", ["Latin"]),
        ("12 !?", []),
        ("caf\u00e9 \u041f", ["Latin", "Cyrillic"]),
        ("\u3053\u3093\u306b\u3061\u306f\u65e5\u30ab", ["Hiragana", "Han", "Katakana"]),
        ("\u0939\u093f", ["Devanagari"]),
        ("\U00010400", ["Deseret"]),
    ],
)
def test_scripts(given: str, expected: list[str]) -> None:
    assert scripts(given) == expected
    assert script(given) == (expected[0] if expected else None)


# --------------------------------------------------------------------- finders


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", []),
        ("it's 'quoted' l'\u00e9t\u00e9", ["it's", "quoted", "l'\u00e9t\u00e9"]),
        ("snake_case a-b 3.5", ["snake_case", "a", "b", "3", "5"]),
        ("fr\u200bee", ["free"]),
        (
            "\u0928\u092e\u0938\u094d\u0924\u0947, \u4f60\u597d\uff01",
            ["\u0928\u092e\u0938\u094d\u0924\u0947", "\u4f60\u597d"],
        ),
        ("\u2764\ufe0f \U0001f600", []),
    ],
)
def test_words(given: str, expected: list[str]) -> None:
    assert text_finders.words(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a@b.test, <c.d+e@f.co.uk>;mailto:g@h.test", ["a@b.test", "c.d+e@f.co.uk", "g@h.test"]),
        ("x(at)y(dot)test X[AT]Y.test", ["x(at)y(dot)test", "X[AT]Y.test"]),
        ("https://user@evil.test/ @ann a@b a@b.c1 @b.test", []),
        ("\u00fc@\u00e4.test", ["\u00fc@\u00e4.test"]),
        ("a" * 65 + "@b.test", []),
        ("cat at dot", []),
    ],
)
def test_emails(given: str, expected: list[str]) -> None:
    assert text_finders.emails(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("+1 (555) 123-4567", ["+15551234567"]),
        ("0044 20 7946 0958", ["+442079460958"]),
        ("+15551234567.", ["+15551234567"]),
        ("06 12 34 56 78", ["0612345678"]),
        ("(02) 9876 5432", ["0298765432"]),
        ("+\u0664\u0664 20 7946 0958", ["+442079460958"]),
        ("2026-01-01 12:30:45, 12/12/2024 10:00, 01.02.2026", []),
        ("1.000.000.000 and 5 000 000 000", []),
        ("192.168.100.200", []),
        ("id 123456789012345678, 5551234567", []),
        ("1 2 3 4 5 6 7 8 9 10 and 16 17 18 19 20 21", []),
        ("+" + "1 2" * 40, []),
    ],
)
def test_phones(given: str, expected: list[str]) -> None:
    assert text_finders.phones(given) == expected


def test_mentions_and_hashtags() -> None:
    assert text_finders.mentions("@ann, (@bob.x) <@12> <@!13> <@&14> c@d.test @e@f \uff20g @") == [
        *("ann", "bob.x", "12", "13", "e", "g")
    ]
    assert text_finders.hashtags("#a #1 #2b ##c d#e https://x/#f &#39; #\u65e5\u672c \uff03g") == [
        *("a", "2b", "\u65e5\u672c", "g")
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("plain #1 *", []),
        ("\u00a9 \u2122 \u263a", []),
        ("\u263a\ufe0f", ["\u263a\ufe0f"]),
        ("\U0001f44d\U0001f3fd", ["\U0001f44d\U0001f3fd"]),
        ("\U0001f469\u200d\U0001f469\u200d\U0001f467!", ["\U0001f469\u200d\U0001f469\u200d\U0001f467"]),
        ("\U0001f1eb\U0001f1f7\U0001f1eb", ["\U0001f1eb\U0001f1f7"]),
        ("1\ufe0f\u20e3", ["1\ufe0f\u20e3"]),
        ("\U0001f600\U0001f600", ["\U0001f600", "\U0001f600"]),
    ],
)
def test_emojis(given: str, expected: list[str]) -> None:
    assert text_finders.emojis(given) == expected


# ----------------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", []),
        ("see http://a.test/x, (bit.ly/abc).", ["http://a.test/x", "bit.ly/abc"]),
        (
            "[t](https://x.test/a) <https://y.test> **https://z.test**",
            ["https://x.test/a", "https://y.test", "https://z.test"],
        ),
        ("http://a.test,http://b.test", ["http://a.test", "http://b.test"]),
        ("https://a.test/?u=https://b.test", ["https://a.test/?u=https://b.test"]),
        ("https://en.test/A_(b) (https://en.test/A_(b))", ["https://en.test/A_(b)", "https://en.test/A_(b)"]),
        ("hxxps://a[.]test b[.]test c(dot)test", ["hxxps://a[.]test", "b[.]test", "c(dot)test"]),
        ("www.a.com tg://resolve?x", ["www.a.com", "tg://resolve?x"]),
        ("the end.Next main.rs a.com:80 http:// and/or 1.5/2 ann@b.com/x", []),
        (
            "\uff48\uff54\uff54\uff50://\uff41.\uff54\uff45\uff53\uff54",
            ["\uff48\uff54\uff54\uff50://\uff41.\uff54\uff45\uff53\uff54"],
        ),
    ],
)
def test_urls(given: str, expected: list[str]) -> None:
    assert links.urls(given) == expected


def test_domains_are_found_in_bare_names_too() -> None:
    given = "go to evil.com, blog.evil.com/x http://\u4f8b\u3048.jp ann@mail.test and 1.2.3.4 http://5.6.7.8/"
    assert links.domains(given) == ["evil.com", "\u4f8b\u3048.jp", "5.6.7.8"]


@pytest.mark.parametrize(
    ("link", "host", "domain"),
    [
        ("https://Ann:pw@WWW.Example.com:8080/a?b#c", "www.example.com", "example.com"),
        ("hxxp://news[.]bbc[.]co[.]uk/x", "news.bbc.co.uk", "bbc.co.uk"),
        ("ann@mail.example.com", "mail.example.com", "example.com"),
        ("mailto:ann[at]example[dot]com", "example.com", "example.com"),
        ("example.com:80/x", "example.com", "example.com"),
        ("//cdn.example.com./x", "cdn.example.com", "example.com"),
        ("https:\\\\evil.com\\@good.com", "evil.com", "evil.com"),
        ("http://ex%61mple.com", "example.com", "example.com"),
        ("http://\uff45xample\u3002com", "example.com", "example.com"),
        ("http://exam\u200bple.com", "example.com", "example.com"),
        ("http://xn--bcher-kva.example", "b\u00fccher.example", "b\u00fccher.example"),
        ("http://B\u00dcCHER.example", "b\u00fccher.example", "b\u00fccher.example"),
        ("http://me.github.io/", "me.github.io", "me.github.io"),
        ("http://github.io/", "github.io", "github.io"),
        ("http://co.uk/", "co.uk", None),
        ("http://localhost/", "localhost", None),
        ("http://3232235777/", "192.168.1.1", "192.168.1.1"),
        ("http://0300.0250.1.1/", "192.168.1.1", "192.168.1.1"),
        ("http://0xC0A80101/", "192.168.1.1", "192.168.1.1"),
        ("http://[::ffff:1.2.3.4]:80/", "1.2.3.4", "1.2.3.4"),
        ("http://[2001:DB8::1]/", "2001:db8::1", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_hosts_and_domains(link: str, host: str, domain: str | None) -> None:
    assert links.host(link) == host
    assert links.domain(link) == domain


@pytest.mark.parametrize(
    "link",
    [
        *(
            "",
            "hello",
            "hello world",
            "http://",
            "http://a b.com",
            "http://a..b",
            "javascript:alert(1)",
            "/a.b",
        ),
        *(
            "http://256.1.1.1",
            "http://1.2.3.08",
            f"http://{'a' * 64}.com",
            "http://%ff.com",
            "http://a(b).com",
        ),
    ],
)
def test_what_is_no_host(link: str) -> None:
    assert links.host(link) is None
    assert links.domain(link) is None
    assert links.path(link) is None
    assert not links.is_shortener(link)
    assert not links.is_disposable_email(link)


def test_a_label_that_decodes_to_what_is_no_name_stays_as_it_is() -> None:
    for label in ("xn--a", "xn--99999999999", "xn--ls8h.", "xn--abc-", "xn--u-ccb"):
        host = links.host(f"http://{label}.test/")
        assert host is None or host.encode()


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://a.test/b/c?d#e", "/b/c"),
        ("https://a.test?x", "/"),
        ("a.test\\b", "/b"),
        ("http://a.test#x", "/"),
    ],
)
def test_path(link: str, expected: str) -> None:
    assert links.path(link) == expected


def test_shorteners_and_throwaway_mail() -> None:
    assert links.is_shortener("https://www.bit.ly/x")
    assert links.is_shortener("t.co/abc")
    assert not links.is_shortener("https://bit.ly.example.com")
    assert all(links.host(f"https://{one}/") == one for one in links.SHORTENERS)
    assert links.is_disposable_email("x@MAILINATOR.com")
    assert links.is_disposable_email("x@sub.mailinator.com")
    assert links.is_disposable_email("mailinator.com")
    assert not links.is_disposable_email("x@mailinator.com.example.org")


# --------------------------------------------------------------------- network


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::FFFF:1.2.3.4", "1.2.3.4"),
        ("01.2.3.4", None),
        ("1.2.3", None),
        (" 1.2.3.4", None),
        ("fe80::1%eth0", None),
        ("1.2.3.4/8", None),
        ("\u0661.2.3.4", None),
        ("1" * 100, None),
    ],
)
def test_ip(written: str, expected: str | None) -> None:
    assert network.ip(written) == expected


@pytest.mark.parametrize(
    ("address", "private"),
    [
        *((a, True) for a in ("10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1")),
        *(
            (a, True)
            for a in ("127.0.0.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "::1", "::", "fc00::1", "fe80::1")
        ),
        *(
            (a, False)
            for a in ("9.255.255.255", "11.0.0.0", "172.32.0.0", "100.128.0.0", "8.8.8.8", "203.0.113.7")
        ),
        *((a, False) for a in ("::2", "2001:db8::1", "ff02::1", "2606:4700::1111")),
    ],
)
def test_is_private(address: str, private: bool) -> None:
    assert network.is_private(address) is private


def test_distance() -> None:
    assert network.distance_km(0, 0, 0, 0) == 0
    assert network.distance_km(90, 17, 90, -99) == 0
    assert network.distance_km(0, 0, 0, 180) == network.distance_km(90, 0, -90, 0) == 20015.114
    assert network.distance_km(0, 179.95, 0, -179.95) == network.distance_km(0, 0, 0, 0.1)
    assert network.distance_km(0, 181, 0, 0) is None
    assert network.distance_km(0, 0, -90.1, 0) is None


# ------------------------------------------------------------- lists, numbers


def test_lists() -> None:
    assert sequences.first([]) is sequences.last([]) is None
    assert sequences.distinct_of([1, 1.0, 2, 1]) == [1, 2]
    assert sequences.overlap(["a", "a"], ["a", "b"]) == 1
    assert sequences.overlap((), ("a",)) == 0  # constant lists are tuples


@pytest.mark.parametrize(
    ("x", "expected"),
    [(0.5, 1), (-0.5, -1), (1.5, 2), (2.5, 3), (0.49999999999999994, 0), (-2.4, -2), (1e300, 1e300), (7, 7)],
)
def test_round(x: float, expected: float) -> None:
    assert numbers.rounder(0)(x) == expected


def test_round_to_decimals() -> None:
    assert numbers.rounder(2)(2.345) == 2.35  # 234.50000000000003, as the product of doubles has it
    assert numbers.rounder(1)(0.25) == 0.3
    assert numbers.rounder(15)(1e10) == 1e10
    for digits in (-1, 16, 0.5):
        with pytest.raises(ValueError, match="a whole number from 0 to 15"):
            numbers.rounder(digits)


def test_floor_ceil_sqrt_log_clamp() -> None:
    assert (numbers.floor(-0.5), numbers.ceil(-0.5)) == (-1, 0)
    assert (numbers.floor(1e17), numbers.ceil(-1e17)) == (1e17, -1e17)
    assert numbers.sqrt(-0.1) is None
    assert numbers.log(-1) is None
    assert numbers.log(math.e) == 1
    assert numbers.clamp(5, 10, 1) == 1


@pytest.mark.parametrize(
    "x", [5e-324, 1e-300, 0.1, 0.5, 0.9999999, 1.0000001, 2, 10, 12345.678, 2**53, 1.7e308]
)
def test_log_is_right_to_the_last_digits(x: float) -> None:
    assert numbers.log(x) == pytest.approx(math.log(x), rel=4e-16, abs=1e-300)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (" 12 ", 12),
        ("-0.5", -0.5),
        (".5", 0.5),
        ("5.", 5),
        ("1E3", 1000),
        ("9007199254740993", 9007199254740992.0),
        *(
            (w, None)
            for w in (
                "",
                "-",
                ".",
                "1,000",
                "0x1f",
                "1_000",
                "inf",
                "nan",
                "1e999",
                "\u0661",
                "1 2",
                "1" * 401,
            )
        ),
    ],
)
def test_number(written: str, expected: float | None) -> None:
    assert numbers.number(written) == expected


# ------------------------------------------------------------------------ time


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01 01:00:00.5+01:00", 500_000),
        ("1970-01-01T00:00:00.0000005Z", 1),
        ("1969-12-31T23:59+0000", -60_000_000),
        *(
            (w, None)
            for w in ("", "now", "1970-13-01", "1970-01-32", "1970-01-01T24:00", "1970-01-01T00:00:60Z")
        ),
        *((w, None) for w in ("1970-01-01T00:00+24:00", "0001-01-01T00:00+01:00", "\u0661970-01-01", "0")),
    ],
)
def test_time(written: str, expected: int | None) -> None:
    assert times.time(written) == expected


def test_zones() -> None:
    summer = times.time("2026-07-01T22:30:00Z")
    winter = times.time("2026-01-04T23:30:00Z")
    assert summer is not None
    assert winter is not None
    assert times.hour_of_day("UTC")(summer) == 22
    assert times.hour_of_day("Europe/Paris")(summer) == 0
    assert times.hour_of_day("Europe/Paris")(winter) == 0
    assert times.hour_of_day("Asia/Kolkata")(winter) == 5
    assert times.date_in("Asia/Kolkata")(winter) == "2026-01-05"
    assert times.day_of_week("UTC")(winter) == 7
    assert times.day_of_week("Asia/Tokyo")(winter) == 1
    assert times.day_of_week("UTC")(0) == 4  # 1970 began on a Thursday


def test_the_ends_of_time_have_dates_in_every_zone() -> None:
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        assert times.date_in(zone)(times.EARLIEST)[:4] == "0001"
        assert times.date_in(zone)(times.LATEST)[:4] == "9999"


@pytest.mark.parametrize("name", sorted(times.zone_names()))
def test_every_zone_can_be_read(name: str) -> None:
    assert 0 <= times.hour_of_day(name)(1_767_225_600_000_000) <= 23


@pytest.mark.parametrize("name", ["Europe/Pris", "europe/paris", "", "../zones", "/etc/passwd", "CET+1"])
def test_unknown_zones_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        times.date_in(name)


def test_a_zone_is_suggested() -> None:
    with pytest.raises(ValueError, match="did you mean `Europe/Paris`"):
        times.zone("Europe/Pris")
