"""The page of a report: what it says, that nothing in it can act, and that it works in a browser."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quell.replay.page import asset, page, write_page
from quell.replay.page_html import Html, join, name, prose, tag
from quell.replay.page_matrix import crowd, direction
from quell.replay.page_plots import axis, scale, times
from quell.replay.page_samples import Packer
from quell.replay.page_words import bucket, interval, share, signed, span, title, volume
from quell.replay.report_data import Backtest, Comparison, Flow, Overlap, Source, Timeline, VerdictRow, Warmup
from tests.browser import Browser, Tab, found
from tests.page_reports import HOSTILE, VERDICTS, backtest, comparison, rate, sample

Report = Backtest | Comparison
REPORTS: dict[str, Callable[..., Report]] = {"backtest": backtest, "comparison": comparison}

# ------------------------------------------------------------------------------------------------- words


def test_the_headline_of_a_backtest_says_how_much_of_what() -> None:
    assert title(backtest()) == (
        "Of 20,000 events on 2 March 2026, 00:00 to 23:59 UTC, these policies would block 1,000 (5.0%), "
        "review 600 (3.0%) and flag 400 (2.0%)."
    )


def test_a_verdict_that_is_no_verb_is_given() -> None:
    rows = [VerdictRow("fine", 3, 0.75, [3]), VerdictRow("spam", 1, 0.25, [1])]
    assert title(small(rows)).endswith("these policies would give “spam” to 1 (25.0%).")


def test_a_headline_without_verdicts_or_events() -> None:
    assert "all would be left at “allow”" in title(small([VerdictRow("allow", 4, 1.0, [4])]))
    assert title(empty()).startswith("The history holds no event")


def test_a_comparison_says_what_failed_what_is_cold_and_what_else_differs() -> None:
    told = re.sub(r"<[^>]+>", "", page(comparison()).partition('id="report"')[0])
    for part in (
        "47 events of 20,000 (0.23%) get another verdict (35 harsher, 12 milder).",
        "30 were let through before and are not now; 12 were not let through before and are now.",
        "comparison of policies/12 messages within 1m with main (12 messages within 1m)",
        "fails if new_blocks > 0.1%: 0.15%".replace(">", "&gt;"),
        "is cold for 12 messages within 1m once the change is live, unless a journal fills it",
        "this differs, on so many events: which rules fire (50) and which labels are set (9).",
        "was called old_name",
    ):
        assert part in told


def test_words() -> None:
    assert share(None) == "–"
    assert share(0.00001) == "<0.1%"
    assert (signed(3), signed(-1200), signed(0)) == ("+3", "−1,200", "0")
    assert interval(rate(0, 0)) == "cannot be told: no events to judge by"
    assert interval(rate(9, 10)) == "90.0% (95% interval 59.6% to 98.2%; 9 of 10)"
    assert (volume(9_261_000), volume(12_400), volume(3.25)) == ("9.3 M", "12,400", "3.25")
    assert span("2026-03-01T00:00:00Z", "2026-04-02T00:00:00Z") == "from 1 March 2026 to 2 April 2026"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (1800, "2 Mar 2026, 23:30–00:00"),
        (86_400, "2 Mar 2026"),
        (7 * 86_400, "2 Mar 2026 – 8 Mar 2026"),
    ],
)
def test_buckets(seconds: int, told: str) -> None:
    assert bucket("2026-03-02T23:30:00Z" if seconds < 86_400 else "2026-03-02T00:00:00Z", seconds) == told


# --------------------------------------------------------------------------------------- markup and pictures


def test_texts_are_escaped_and_what_cannot_be_seen_is_spelt_out() -> None:
    assert tag("p", '<b>&"\u202e\x00', title='"x"\ty\n<') == (
        '<p title="&quot;x&quot;\ty\n&lt;">&lt;b&gt;&amp;&quot;\\u202e\\u0000</p>'
    )
    assert tag("p", Html("<i>"), None, ["a", ["b"]]) == "<p><i>ab</p>"
    assert tag("input", hidden=True, disabled=False, data_n=3) == '<input hidden data-n="3">'
    assert prose("see `a<b` and c") == "see <code>a&lt;b</code> and c"
    assert prose("an odd ` tick") == "an odd ` tick"
    assert name("a_b<") == "a_<wbr>b&lt;"
    assert join("x" * 500).endswith("…")


def test_coordinates_are_whole_however_many_there_are() -> None:
    points = " ".join(f"{i}.5,7" for i in range(300))
    assert f'points="{points}"' in tag("polygon", points=points)
    assert len(tag("p", title=points)) < 500


@pytest.mark.parametrize("top", [0, 1, 3, 7, 10, 99, 801, 12_345, 10**9])
@pytest.mark.parametrize("most", [2, 3, 5])
def test_scales_reach_the_top_in_few_steps(top: int, most: int) -> None:
    made = scale(top, most)
    assert made[0] == 0
    assert made[-1] >= top
    assert 1 <= len(made) - 1 <= most


def test_many_buckets_are_drawn_together() -> None:
    starts = [f"2026-{month:02d}-{day:02d}T00:00:00Z" for month in range(1, 13) for day in range(1, 29)]
    drawn = axis(Timeline(starts, 86_400, [1] * len(starts)))
    assert drawn.columns <= 96
    assert sum(drawn.fold([1] * len(starts))) == len(starts)
    assert "Jan 2026" in times(drawn)


def test_overlaps_put_rules_beside_those_they_share_most_with() -> None:
    pairs = [Overlap("a", "b", 10, 0.9, 0.8), Overlap("c", "d", 9, 0.9, 0.9), Overlap("b", "c", 1, 0.1, 0.1)]
    assert crowd(pairs) in (["b", "a", "c", "d"], ["b", "a", "d", "c"])


def test_directions_follow_the_ladder() -> None:
    told = [
        direction(Flow(a, b, 1), VERDICTS)
        for a, b in (("allow", "block"), ("block", "flag"), ("flag", "flag"))
    ]
    assert told == ["harsher", "milder", "same"]


# ------------------------------------------------------------------------------------------------ samples


def test_equal_texts_are_packed_once_and_an_event_is_one_sample() -> None:
    packer = Packer()
    both = packer.take([[sample(1, "r", "why"), sample(2, "r", "why")], [sample(1, "r", "why")]])
    assert both == [[0, 2], [0]] or both == [[0, 1], [0]]
    assert len(packer.samples) == 2
    assert len(set(packer.texts.values())) == len(packer.texts)
    assert list(packer.texts.values()) == list(range(len(packer.texts)))


def test_a_packed_condition_keeps_what_decided_it() -> None:
    packer = Packer()
    packer.take([[sample(1, "r", "why", "allow")]])
    (packed,) = packer.samples
    texts = list(packer.texts)
    what, _, state, _, parts = packed["x"]["r"][0]["t"]
    assert (texts[what], state) == ('messages_1m >= 10 or author labelled "spammer"', 1)
    decided, skipped = parts
    assert (texts[decided[0]], decided[2]) == ("messages_1m >= 10", 11)
    counter = decided[4][0]
    assert [texts[counter[0]], texts[counter[1]], texts[counter[3]]] == ["messages_1m", "12", 'under "u1"']
    assert skipped[2] == 23
    assert packed["o"]["r"][0]["s"] == "not matched"
    assert (packed["b"], packed["v"]) == ("allow", "block")


def test_a_renamed_rule_is_found_again_in_the_other_explanation() -> None:
    packer = Packer()
    packer.names = {"old": "new"}
    now, before = sample(1, "new", "why"), sample(1, "old", "why")
    packer.take([[msgspec.structs.replace(now, before="allow", other=before.explanation)]])
    (packed,) = packer.samples
    (after,), (other,) = packed["x"]["r"], packed["o"]["r"]
    assert list(packer.texts)[other["n"]] == "old"
    assert other["k"] == after["n"]
    assert "k" not in after


def test_what_does_not_fit_is_left_out_and_counted() -> None:
    few = Packer(samples=1500, explanations=1200)
    places = few.take([[sample(n, "r", f"why {n}") for n in range(10 * g, 10 * g + 10)] for g in range(2)])
    assert places[0]
    assert places[1], "each group has its turn"
    assert few.left_out == 20 - len(few.samples)
    explained = [s for s in few.samples if "x" in s]
    assert 0 < len(explained) < len(few.samples)
    assert len(msgspec.json.encode(few.samples)) < 5000
    named = re.findall(r"why \d+", json.dumps(list(few.texts)))
    assert len(set(named)) == len(explained), "texts of what was left out are left out too"


# ------------------------------------------------------------------------------------------- the whole page


class Nesting(HTMLParser):
    """Holds a page to closing what it opens, and gathers what could act or fetch."""

    VOID = ("meta", "input", "br", "wbr")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(params=["backtest", "comparison"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_page_is_whole_and_nothing_in_it_fetches_or_acts(kind: str) -> None:
    parsed = Nesting()
    parsed.feed(page(REPORTS[kind](HOSTILE)))
    parsed.close()
    assert parsed.open == []
    assert [attributes.get("type") for tag, attributes in parsed.tags if tag == "script"] == [
        "application/json",
        None,
    ]
    used = {tag for tag, _ in parsed.tags}
    assert not used & {"img", "link", "iframe", "object", "embed", "base", "form", "image", "use", "a:href"}
    for element, attributes in parsed.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "src", "srcdoc")]
        assert element != "a" or (attributes["href"] or "").startswith("#")
    idents = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(idents) == len(set(idents))


def test_the_policy_allows_the_pages_own_script_and_style_only(kind: str) -> None:
    made = page(REPORTS[kind]())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', made)
    assert policy is not None
    script = made.rpartition("<script>")[2].partition("</script>")[0]
    style = made.partition("<style>")[2].partition("</style>")[0]
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (script, style)]
    assert policy[1].replace("&#x27;", "'") == (
        f"default-src 'none'; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_data_in_the_page_is_json_that_cannot_end_its_element(kind: str) -> None:
    made = page(REPORTS[kind](HOSTILE))
    data = made.partition('id="report">')[2].partition("</script>")[0]
    assert not set("<>&\u2028\u2029") & set(data)
    held = json.loads(data)
    assert held["ladder"] == list(VERDICTS)
    assert any("</script><script>window.hacked" in text for text in held["texts"])
    assert not [c for c in made if not c.isprintable() and c not in "\n\t"]


def test_the_same_report_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    write_page(REPORTS[kind](HOSTILE), stream)
    write_page(REPORTS[kind](HOSTILE), tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == stream.getvalue()


def test_a_report_of_500_rules_stays_small() -> None:
    assert len(page(backtest(rules=500, samples=8)).encode()) < 1_500_000
    assert len(page(comparison(rules=500, samples=8)).encode()) < 1_500_000


def test_an_empty_report_has_a_page() -> None:
    assert "The history holds no event" in page(empty())
    bare = Comparison(empty(), empty(), [], 0, 0, 0, [], same=True)
    assert "Nothing changes" in page(bare)


def empty() -> Backtest:
    """Of a history without events and policies without rules."""
    source = Source([], 0, 0, {}, 0, 0, 0, "time", 0)
    return Backtest("b", "b", "0", source, Timeline([], 3600, []), [], [], [], Warmup("", 0, False), [], 0.0)


def small(rows: list[VerdictRow]) -> Backtest:
    """Of four events."""
    source = Source(
        [], 4, 4, {"e": 4}, 0, 0, 0, "time", 0, first="2026-03-02T00:00:00Z", last="2026-03-02T01:00:00Z"
    )
    line = Timeline(["2026-03-02T00:00:00Z"], 3600, [4])
    return Backtest("b", "b", "0", source, line, rows, [], [], Warmup("", 0, False), [], 0.0)


# ------------------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = found()
    if path is None:
        pytest.skip(
            "no Chromium is installed (on Debian: apt-get install chromium), or name one in QUELL_BROWSER"
        )
    with Browser(path) as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made: dict[str, Path] = {}
    for kind, report in REPORTS.items():
        for text in ("plain", "hostile"):
            made[f"{kind} {text}"] = folder / f"{kind}-{text}.html"
            write_page(report(HOSTILE) if text == "hostile" else report(), made[f"{kind} {text}"])
    return made


OPEN_ALL = """
document.querySelectorAll("button.all").forEach((b) => b.click());
document.querySelectorAll(".rule-name button").forEach((b) => b.click());
document.querySelectorAll(".sample").forEach((s) => { s.open = true; });
document.querySelectorAll("details").forEach((d) => { d.open = true; });
"""


def opened(tab: Tab) -> None:
    """Open everything that opens, the samples in rules too."""
    tab.run(OPEN_ALL)
    tab.until("[...document.querySelectorAll('.sample')].every((s) => !s.open || s.querySelector('.inside'))")
    tab.run('document.querySelectorAll(".inside details").forEach((d) => { d.open = true; })')


def too_wide(tab: Tab) -> Any:
    """By how much the page is wider than the screen, and what sticks out."""
    return tab.run("document.documentElement.scrollWidth - innerWidth")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["plain", "hostile"])
def test_it_fits_every_screen_asks_for_nothing_and_complains_of_nothing(
    browser: Browser, pages: dict[str, Path], kind: str, text: str
) -> None:
    tab = browser.open(pages[f"{kind} {text}"])
    for dark in (False, True):
        tab.colours(dark)
        for width in (360, 768, 1280):
            tab.size(width, 800)
            assert too_wide(tab) <= 0, f"at {width}"
    opened(tab)
    for width in (360, 768, 1280):
        tab.size(width, 800)
        assert too_wide(tab) <= 0, f"opened, at {width}"
    assert tab.errors == []
    assert tab.requests == []
    assert tab.run("window.hacked") is None
    assert tab.run('document.querySelectorAll("img, main script").length') == 0
    tab.close()


@pytest.mark.slow
def test_hostile_texts_are_shown_as_they_are(browser: Browser, pages: dict[str, Path]) -> None:
    tab = browser.open(pages["backtest hostile"])
    opened(tab)
    shown = tab.run('document.querySelector(".sample .inside").textContent')
    assert "</script><script>window.hacked = 1</script><!--<img src=x" in shown
    assert "\\u202eturned" in shown
    tab.close()


CONTRAST = """
(() => {
  const parse = (c) => {
    const [r, g, b, a = 1] = c.match(/[\\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const mix = (t, u, part) => t * part + u * (1 - part);
  const over = (t, u) => ({ r: mix(t.r, u.r, t.a), g: mix(t.g, u.g, t.a), b: mix(t.b, u.b, t.a), a: 1 });
  const straight = (v) => (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  const light = (c) => {
    const [r, g, b] = [c.r, c.g, c.b].map((v) => straight(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) layers.unshift(parse(getComputedStyle(at).backgroundColor));
    return layers.reduce((under, layer) => over(layer, under), { r: 255, g: 255, b: 255, a: 1 });
  };
  const poor = [];
  for (const e of document.querySelectorAll("main *, nav *, header *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length || e.closest(".none, .zero, .skip, .self")) continue;
    const style = getComputedStyle(e);
    const back = behind(e);
    const front = over(parse(e instanceof SVGElement ? style.fill : style.color), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    const told = `${e.tagName}.${e.getAttribute("class")} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`;
    if (ratio < 4.5) poor.push(told);
  }
  return [...new Set(poor)].slice(0, 10);
})()
"""


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(
    browser: Browser, pages: dict[str, Path], kind: str, dark: bool
) -> None:
    tab = browser.open(pages[f"{kind} plain"], dark=dark)
    opened(tab)
    assert tab.run(CONTRAST) == []
    tab.close()


@pytest.mark.slow
def test_the_keyboard_opens_samples_and_rules_and_reads_pictures(
    browser: Browser, pages: dict[str, Path], kind: str
) -> None:
    tab = browser.open(pages[f"{kind} plain"])
    tab.run('document.querySelector("#sample-list summary").focus()')
    tab.key("Enter", 13, "\r")
    tree = tab.until('document.querySelector("#sample-list .sample[open] .tree")?.innerText')
    assert "✓" in tree or "✗" in tree
    assert "messages_1m = 12" in tree.replace("\n", " ")
    assert "decided" in tree

    tab.run('document.querySelector(".rule-name button").focus()')
    tab.key("Enter", 13, "\r")
    assert "messages within" in tab.run('document.querySelector(".opened pre").textContent')
    tab.key("Enter", 13, "\r")
    assert tab.run('document.querySelector(".opened")') is None

    tab.run('document.querySelector(".plot[data-marks]").focus()')
    tab.key("ArrowRight", 39)
    first = tab.run('document.querySelector("#tip:not([hidden])").textContent')
    tab.key("ArrowRight", 39)
    assert tab.run('document.querySelector("#tip:not([hidden])").textContent') != first
    tab.key("Escape", 27)
    assert tab.run('document.querySelector("#tip").hidden')
    tab.close()


@pytest.mark.slow
def test_the_mouse_reads_pictures(browser: Browser, pages: dict[str, Path]) -> None:
    tab = browser.open(pages["backtest plain"], 360, 740)
    tab.point("#time .area g:nth-of-type(9)")
    told = tab.until('document.querySelector("#tip:not([hidden])")?.innerText')
    assert told.split("\n")[0] == "2 Mar 2026, 08:00–09:00"
    assert "block" in told
    left = tab.run('document.querySelector("#tip").getBoundingClientRect().left')
    right = tab.run('document.querySelector("#tip").getBoundingClientRect().right')
    assert 0 <= left < right <= 360
    tab.point("h1")
    tab.until('document.querySelector("#tip").hidden')
    tab.close()


@pytest.mark.slow
def test_a_comparison_shows_both_explanations(browser: Browser, pages: dict[str, Path]) -> None:
    tab = browser.open(pages["comparison plain"])
    opened(tab)
    both = '[...document.querySelector("#sample-list .sample .two").children].map((d) => d.innerText)'
    sides = tab.run(both)
    assert sides[0].startswith("Before")
    assert "did not match" in sides[0]
    assert sides[1].startswith("After")
    assert "fired" in sides[1]
    tab.close()


VISIBLE = '[...document.querySelectorAll(".rules tbody tr")].filter((r) => r.getClientRects().length)'


def filtering(tab: Tab, text: str) -> None:
    """Type into the filter of rules."""
    tab.run(f"document.querySelector('.filter').value = {json.dumps(text)}")
    tab.run('document.querySelector(".filter").dispatchEvent(new Event("input"))')


@pytest.mark.slow
def test_rules_are_filtered_sorted_and_shown_in_parts(browser: Browser, tmp_path: Path) -> None:
    write_page(backtest(rules=500, samples=1), tmp_path / "page.html")
    tab = browser.open(tmp_path / "page.html")
    assert tab.run(f"{VISIBLE}.length") == 40
    tab.run('document.querySelector("#rules .all").click()')
    assert tab.run(f"{VISIBLE}.length") == 500
    filtering(tab, "number_12_ BLOCK")
    assert tab.run(f"{VISIBLE}.length") == 0, "rule 12 asks for a review"
    filtering(tab, "number_12_ review")
    names = f"{VISIBLE}.map((r) => r.querySelector('.rule-name').textContent)"
    assert tab.run(names) == ["rule_number_12_with_a_long_name"]
    filtering(tab, "")
    hits = f"{VISIBLE}.slice(0, 5).map((r) => Number(r.querySelector('.hits-cell').dataset.v))"
    tab.run('document.querySelector("th.hits-cell button").click()')
    assert tab.run(hits) == [900, 863, 826, 789, 752]
    tab.run('document.querySelector("th.hits-cell button").click()')
    assert tab.run(hits) == [0, 0, 0, 0, 0]
    assert tab.errors == []
    tab.close()


@pytest.mark.slow
def test_what_was_missed_says_what_came_near(browser: Browser, pages: dict[str, Path]) -> None:
    tab = browser.open(pages["backtest hostile"])
    card = 'document.querySelector("#missed-list .sample")'
    assert tab.run('document.querySelectorAll("#missed-list .sample").length') == 2
    told = tab.run(f"{card}.textContent")
    assert "labelled abuse" in told
    assert "nearest: rule_number_0_with_a_long_name: 1 of 2 hold; " in told
    assert "</script><script>window.hacked = 1" in told
    opened(tab)
    assert "did not match" in tab.run(f'{card}.querySelector(".inside").textContent')
    tab.close()


@pytest.mark.slow
def test_samples_are_filtered(browser: Browser, pages: dict[str, Path]) -> None:
    tab = browser.open(pages["comparison plain"])
    count = 'document.querySelectorAll("#sample-list .sample").length'
    every = tab.run(count)
    tab.run('document.querySelector("#sample-list input").value = "id9001"')
    tab.run('document.querySelector("#sample-list input").dispatchEvent(new Event("input"))')
    assert every > tab.run(count) == 1
    tab.close()


@pytest.mark.slow
def test_colours_follow_the_wish_and_then_the_switch(browser: Browser, pages: dict[str, Path]) -> None:
    tab = browser.open(pages["backtest plain"], dark=True)
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = tab.run(paper)
    tab.colours(False)
    light = tab.run(paper)
    assert dark != light
    tab.run('document.querySelector("#theme").click()')
    assert tab.run(paper) == dark
    tab.close()


@pytest.mark.slow
def test_without_scripts_the_figures_and_pictures_are_there(
    browser: Browser, pages: dict[str, Path], kind: str
) -> None:
    tab = browser.open(pages[f"{kind} plain"], scripts=False)
    assert tab.run('document.documentElement.className + document.querySelectorAll("#tip").length') == "0"
    assert title(REPORTS[kind]()).startswith(tab.run('document.querySelector("h1").innerText'))
    assert tab.run("document.querySelectorAll('main svg').length") > 20
    rows = '[...document.querySelectorAll(".rules tbody tr")].map((r) => r.getClientRects().length)'
    assert tab.run(rows) == [1] * 6
    assert too_wide(tab) <= 0
    tab.close()


def test_assets_set_no_markup_and_evaluate_nothing() -> None:
    for script in ("page_base.js", "page_tables.js", "page_samples.js"):
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|fetch\(|https?:",
            asset(script),
        )
        assert found == [], script
