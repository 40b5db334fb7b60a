"""Functions of links and e-mail addresses: finding them in text, and what they say about where they lead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from disposable_email_domains import blocklist

from quell.grammar.types import BOOL, TEXT, list_of
from quell.signals.characters import LIST_CAP, shape
from quell.signals.link_hosts import has_listed_suffix, parts, registered, warm
from quell.signals.registry import Example, Function, Parameter
from quell.signals.text_finders import DOT

# Services that make a short address for any address. Those of one site for itself (youtu.be) hide little.
_SHORTENERS = """
    1url.com adf.ly adfoc.us b23.ru bc.vc bit.do bit.ly bitly.com bitly.is bitly.ws bl.ink buff.ly chilp.it
    clck.ru cli.re clicky.me cort.as cutt.ly cutt.us db.tt dlvr.it dub.co dub.sh flic.kr geni.us gg.gg git.io
    goo.gl gplinks.co han.gl hyperurl.co ift.tt iplogger.com iplogger.org is.gd j.mp kutt.it linkvertise.com
    lnk.bio lnkd.in lnk.to me2.do mcaf.ee n9.cl ouo.io ow.ly po.st qr.ae qr.net rb.gy rebrand.ly reurl.cc
    rotf.lol s.coop s.id s2r.co scrnli.com shorl.com short.gy short.io shorte.st shorten.at shorturl.asia
    shorturl.at shorturl.com smarturl.it snip.ly snipurl.com soo.gd su.pr sup.pr surl.li t.co t.ly t2m.io
    tiny.cc tiny.one tiny.pl tinyurl.com tny.im tr.im trib.al u.nu u.to urlz.fr v.gd v.ht vo.la vk.cc
    vzturl.com x.co x.gd yourls.org z.zz.ht zpr.io zws.im
"""
SHORTENERS = frozenset(_SHORTENERS.split())

# ------------------------------------------------------------------ finding

# What a link goes on with: not white space, quotes or angle brackets; not over `](`, as in [text](link), nor
# over a comma or bar before the next link.
_BODY = r"(?:[^\s<>\"\]|,;]|\](?!\()|[|,;](?!https?:|\|)|\|(?!\||https?:))*+"
_LABEL = r"[A-Za-z0-9_\x01][A-Za-z0-9_\x01\x02-]*+"
_LINK = re.compile(
    rf"(?P<scheme>h(?:tt|xx|\*\*)ps?(?:\[:\]|:)[/\\]{{2}}|(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{{1,19}}(?:\[:\]|:)//){_BODY}"
    rf"|(?<![A-Za-z0-9_@.\x02/=%-])(?P<host>{_LABEL}(?:{DOT}{_LABEL})++)(?P<more>(?::[0-9]{{1,5}})?[/?#]{_BODY})?(?![@])",
    re.IGNORECASE | re.ASCII,
)
# What every link has somewhere; looking for it first makes ordinary sentences cheap.
_HINT = re.compile(r"[.\])}][A-Za-z0-9_\x01]|:[/\\\]]")
_OBFUSCATED = re.compile(r"[\[({]")
_CLOSERS = {")": "(", "]": "[", "}": "{"}
_TRAILING = frozenset(".,;:!?'*_~|`")


def _links(text: str, bare: bool) -> Iterator[str]:
    """The links in the text, in order; with `bare`, also names that no scheme, path or bracketed dot makes a
    link, such as `example.com`. A name without a scheme has a suffix that is listed."""
    plain = shape(text)
    if not _HINT.search(plain):
        return
    for match in _LINK.finditer(plain):
        scheme, name, more = match["scheme"], match["host"], match["more"]
        if not (bare or scheme or more or _OBFUSCATED.search(name) or name[:4].lower() == "www."):
            continue
        end = _trimmed(plain, match.start(), match.end())
        link = text[match.start() : end]
        if scheme:
            if end > match.end("scheme"):
                yield link
            continue
        found = parts(link)
        if found and has_listed_suffix(found[0]):
            yield link


def _trimmed(plain: str, start: int, end: int) -> int:
    """Where a link ends once the punctuation of the sentence around it is left out, as are brackets that it
    does not open."""
    surplus = {c: plain.count(c, start, end) - plain.count(o, start, end) for c, o in _CLOSERS.items()}
    while end > start:
        last = plain[end - 1]
        if surplus.get(last, 0) > 0:
            surplus[last] -= 1
        elif last not in _TRAILING:
            break
        end -= 1
    return end


def urls(text: str) -> list[str]:
    """The links in the text as they stand."""
    return list(islice(_links(text, bare=False), LIST_CAP))


def domains(text: str) -> list[str]:
    """The registered domains, each once, of the text's links and of names that stand in it without one."""
    found = (domain(link) for link in islice(_links(text, bare=True), LIST_CAP))
    return list(dict.fromkeys(one for one in found if one is not None))


# ------------------------------------------------------------------ reading


def host(link: str) -> str | None:
    """The host that a link or e-mail address leads to, in one spelling, or None."""
    found = parts(link)
    return found[0] if found else None


def domain(link: str) -> str | None:
    """The registered domain that a link, host or e-mail address belongs to, or None."""
    found = parts(link)
    return registered(found[0]) if found else None


def path(link: str) -> str | None:
    """The path of a link with forward slashes, up to its query; `/` where none is written; or None."""
    found = parts(link)
    if found is None:
        return None
    _, rest, _ = found
    way = re.split(r"[?#]", rest, maxsplit=1)[0].replace("\\", "/")
    return way or "/"


def _within(name: str, known: Any) -> bool:
    """Whether a host or one of the domains above it is among the known ones."""
    while name not in known:
        _, dot, name = name.partition(".")
        if not dot:
            return False
    return True


def is_shortener(link: str) -> bool:
    """Whether a link leads to a service that shortens links."""
    found = parts(link)
    return found is not None and _within(found[0], SHORTENERS)


_DISPOSABLE = frozenset(blocklist)


def is_disposable_email(address: str) -> bool:
    """Whether an e-mail address, or a domain, belongs to a service that gives out addresses for a while."""
    found = parts(address)
    return found is not None and _within(found[0], _DISPOSABLE)


# --------------------------------------------------------------------- rows


def _warmed(function: Callable[[str], Any]) -> Callable[[], Callable[[str], Any]]:
    def prepare() -> Callable[[str], Any]:
        warm()
        return function

    return prepare


_X = Parameter("x", TEXT)
_LINK_OR_MAIL = Parameter("link", TEXT)

ROWS: tuple[Function, ...] = (
    Function(
        name="urls",
        group="links and mail",
        doc="The links in the text as they stand, in order, with repeats: everything with a scheme"
        " (`https://…`, also `hxxp://…`), names that begin with `www.` or go on with a path (`bit.ly/x`),"
        " and names with bracketed dots (`example[.]com`). A bare `example.com` is none: sentences are full"
        " of `end.Next`; see domains. Punctuation around a link is left out. At most the first"
        f" {LIST_CAP:,}.",
        parameters=(_X,),
        result=list_of(TEXT),
        call=urls,
        prepare=_warmed(urls),
        cost=6.0,
        examples=(
            Example(
                'urls("see http://a.test/x, (bit.ly/abc) and hxxps://b[.]test!")',
                '["http://a.test/x", "bit.ly/abc", "hxxps://b[.]test"]',
            ),
            Example('urls("the end.Next")', "[]"),
        ),
    ),
    Function(
        name="domains",
        group="links and mail",
        doc="The registered domains that the text names, each once, in order: of its links, and of bare"
        " names that end in a known suffix, so that `go to evil.com` is found. Meant for looking up in"
        f" lists; for counting links use urls. Of at most the first {LIST_CAP:,} names.",
        parameters=(_X,),
        result=list_of(TEXT),
        call=domains,
        prepare=_warmed(domains),
        cost=12.0,
        examples=(
            Example(
                'domains("https://www.bbc.co.uk/news and blog.evil.com, again evil.com")',
                '["bbc.co.uk", "evil.com"]',
            ),
        ),
    ),
    Function(
        name="host",
        group="links and mail",
        doc="The host that a link, a bare host or an e-mail address names, in one spelling: lower case,"
        " without user, port and percent signs, `xn--` decoded, full-width letters and bracketed dots"
        " undone, IP addresses canonical. Missing for what names none.",
        parameters=(_LINK_OR_MAIL,),
        result=TEXT.maybe(),
        call=host,
        cost=1.2,
        attribute=True,
        examples=(
            Example('host("https://ann@WWW.Example.com:8080/a")', '"www.example.com"'),
            Example('host("http://0x7f.1/")', '"127.0.0.1"'),
            Example('host("hello")', "missing"),
        ),
    ),
    Function(
        name="domain",
        group="links and mail",
        doc="The registered domain of a link, a host or an e-mail address, by the public suffix list: what"
        " one owner holds, so `github.io` and its like give each user a domain. An IP address is its own."
        " Missing for a bare suffix (`co.uk`), a single name (`localhost`) and what names no host.",
        parameters=(_LINK_OR_MAIL,),
        result=TEXT.maybe(),
        call=domain,
        prepare=_warmed(domain),
        cost=1.3,
        attribute=True,
        examples=(
            Example('domain("https://news.bbc.co.uk/x")', '"bbc.co.uk"'),
            Example('domain("ann@mail.example.com")', '"example.com"'),
            Example('domain("me.github.io")', '"me.github.io"'),
            Example('urls("see http://a.b.test and http://c.test").domain', '["b.test", "c.test"]'),
        ),
    ),
    Function(
        name="path",
        group="links and mail",
        doc="The path of a link, from its first slash up to the query, as written; `/` where there is none."
        " Missing for what names no host.",
        parameters=(_LINK_OR_MAIL,),
        result=TEXT.maybe(),
        call=path,
        cost=2.0,
        attribute=True,
        examples=(
            Example('path("https://a.test/free/nitro?x=1")', '"/free/nitro"'),
            Example('path("https://a.test")', '"/"'),
        ),
    ),
    Function(
        name="is_shortener",
        group="links and mail",
        doc=f"Whether a link leads to one of {len(SHORTENERS)} services that shorten links (`bit.ly`,"
        " `tinyurl.com`), so that where it ends is hidden. What names no host is none.",
        parameters=(_LINK_OR_MAIL,),
        result=BOOL,
        call=is_shortener,
        cost=1.6,
        attribute=True,
        examples=(
            Example('is_shortener("https://bit.ly/3xyz")', "true"),
            Example('is_shortener("https://example.com")', "false"),
        ),
    ),
    Function(
        name="is_disposable_email",
        group="links and mail",
        doc="Whether an e-mail address, or a domain, belongs to a service that gives out addresses for a"
        " while, by the list of the disposable-email-domains project. What names no host is none.",
        parameters=(Parameter("address", TEXT),),
        result=BOOL,
        call=is_disposable_email,
        cost=1.2,
        attribute=True,
        examples=(
            Example('is_disposable_email("x@mailinator.com")', "true"),
            Example('is_disposable_email("ann@gmail.com")', "false"),
        ),
    ),
)
