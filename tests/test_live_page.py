"""The live page in a browser: it works by keyboard, asks for nothing else, and takes no text for markup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from quell.engine.stepper import Stepper
from tests.browser import Browser, Tab, found
from tests.live_support import (
    KEY,
    LABEL,
    NOW,
    SECOND,
    Told,
    application,
    explanations,
    message,
    past,
    served,
    simulated,
)
from tests.live_support import told as told_of
from tests.test_page import CONTRAST

pytestmark = pytest.mark.slow

HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</span><img src=x onerror='window.hacked = 1'>",
    "\u202eturned \u05e9\u05dc\u05d5\u05dd",
    "a\u0000b\nc\u200b",
    "x" * 10_000,
    "{{constructor.constructor('window.hacked=1')()}}",
    'quo"te\\ `tick`',
)
LONG_RULE = "a_rule_whose_name_goes_on_and_on_" * 4


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
def day(browser: Browser) -> Iterator[tuple[Told, str]]:
    """The starter bundle on the beginning of a simulated day, and the address of its page."""
    told = Told(Stepper.load("policies"))
    events = simulated(740)[:60] + simulated(740)[440:]
    notes, made = explanations(told.stepper, events)
    told.live.watch([note._replace(wall=NOW - (len(notes) - i) * SECOND) for i, note in enumerate(notes)])
    told.decide([b'{"type":', LABEL])
    with served(application(told, explained=made)) as address:
        yield told, address


@pytest.fixture(scope="module")
def hostile(browser: Browser) -> Iterator[tuple[Told, str]]:
    """A bundle and events that mean the page harm."""
    told = told_of(
        f"""
entity User labels "<b>bad</b>"
event message from "message"
  id      text = $.id
  at      time = $.at
  author  User = $.author
rule {LONG_RULE} on message
  when length(author) > 0
  then block
       label author "<b>bad</b>"
       send "<i>queue</i>" {{ who: author }}
  because "because of {{author}}"
  tag "<img src=x onerror='window.hacked = 1'>"
  owner "<script>window.hacked = 1</script>"
"""
    )
    events = [message(i, author=text) | {"id": f"{i}{text}"} for i, text in enumerate(HOSTILE)]
    notes, made = explanations(told.stepper, events)
    told.live.watch(notes)
    told.decide([b"<script>window.hacked = 1</script>", b'{"type": "<script>window.hacked = 1</script>"}'])
    with served(application(told, explained=made)) as address:
        yield told, address


FINDS = "((q) => document.querySelector(q), (q) => [...document.querySelectorAll(q)])"


def run(tab: Tab, script: str) -> Any:
    """The value of an expression, or of nothing where it is statements; `$` finds one element, `$$` all."""
    gives = "" if "; " in script else "return "
    return tab.run(f"(($, $$) => {{ {gives}{script}; }}){FINDS}")


def until(tab: Tab, script: str) -> None:
    """Wait until the value of an expression counts as true."""
    tab.until(f"(($, $$) => Boolean({script})){FINDS}")


def opened(browser: Browser, address: str, **options: Any) -> Tab:
    """The page, once it has something to show."""
    tab = browser.open(address, **options)
    until(tab, '$$("#panel-decisions .rows .row").length > 0')
    return tab


def count(tab: Tab, query: str) -> int:
    return int(run(tab, f"$$({json.dumps(query)}).length"))


def text(tab: Tab, query: str) -> str:
    return str(run(tab, f"($({json.dumps(query)}) || {{}}).textContent || ''"))


def press(tab: Tab, name: str, code: int, typed: str = "") -> None:
    tab.key(name, code, typed)


def focused(tab: Tab) -> str:
    """What has the focus, in a word."""
    run(
        tab, "const e = document.activeElement; window.word = e.id || e.getAttribute('role') || e.textContent"
    )
    return str(tab.run("window.word.trim().slice(0, 12)"))


def too_wide(tab: Tab) -> Any:
    return run(tab, "document.documentElement.scrollWidth - innerWidth")


OPEN_RULES = "$('#tab-rules').click()"
ROW = "$$('#panel-decisions .rows .row')"

# --------------------------------------------------------------------------------------------------- as it is


def test_it_loads_without_complaint_and_asks_this_server_alone(
    browser: Browser, day: tuple[Told, str]
) -> None:
    tab = opened(browser, day[1])
    until(tab, "$('#state').textContent === 'live'")
    for name in ("rules", "bundle", "decisions"):
        run(tab, f"$('#tab-{name}').click()")
        until(tab, f"!$('#panel-{name}').hidden")
    assert tab.errors == []
    asked = tab.requests
    assert asked
    assert not [url for url in asked if not url.startswith(day[1] + "/")]
    tab.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_every_screen_and_can_be_read(browser: Browser, day: tuple[Told, str], dark: bool) -> None:
    tab = opened(browser, day[1], dark=dark)
    for name in ("decisions", "rules", "bundle"):
        run(tab, f"$('#tab-{name}').click()")
        until(
            tab,
            f"$$('#panel-{name} .row, #panel-{name} tr, #panel-{name} .card').length > 1",
        )
        for width in (390, 768, 1280, 1600):
            tab.size(width, 900)
            assert too_wide(tab) <= 0, f"{name} at {width}"
        assert tab.run(CONTRAST) == [], name
    tab.close()


def test_figures_and_pictures_say_what_there_was(browser: Browser, day: tuple[Told, str]) -> None:
    told, address = day
    tab = opened(browser, address)
    totals = told.live.now().totals
    assert text(tab, "#figures").startswith("Decisions a second")
    legend = run(
        tab, "$$('#by-verdict .legend li').map((l) => [l.firstChild.textContent, l.lastChild.textContent])"
    )
    assert {
        name: int(n.replace(",", "")) for name, n in legend if n != "0" and name != "refused"
    } == totals.verdicts
    run(tab, "$('#by-verdict .quiet').click()")
    rows = run(tab, "$$('#by-verdict tbody tr').map((r) => Number(r.lastChild.textContent))")
    assert sum(rows) == sum(totals.verdicts.values()) + sum(totals.refused.values())
    heads = run(tab, "$$('#by-verdict thead th').map((h) => h.textContent)")
    assert heads[0] == "Start of each 5 s"
    assert heads[-1] == "all"
    tab.close()


def test_pictures_are_read_with_the_mouse_and_with_keys(browser: Browser, day: tuple[Told, str]) -> None:
    tab = opened(browser, day[1])
    tab.point("#by-verdict .plot")
    until(tab, "!$('#by-verdict .tip').hidden")
    pointed = text(tab, "#by-verdict .tip p")
    assert pointed
    run(tab, "$('#by-rule .plot').focus()")
    press(tab, "End", 35)
    last = text(tab, "#by-rule [role=status]")
    press(tab, "ArrowLeft", 37)
    before = text(tab, "#by-rule [role=status]")
    assert "firings" in last
    assert before != last
    press(tab, "Escape", 27)
    assert run(tab, "$('#by-rule .tip').hidden") is True
    tab.close()


def test_a_series_is_left_out_of_the_picture_and_comes_back(browser: Browser, day: tuple[Told, str]) -> None:
    tab = opened(browser, day[1])
    fills = count(tab, "#by-verdict path.fill")
    key = "$$('#by-verdict .legend button').find((b) => b.textContent === 'allow')"
    run(tab, f"{key}.click()")
    assert count(tab, "#by-verdict path.fill") == fills - 1
    assert run(tab, f"{key}.getAttribute('aria-pressed')") == "false"
    run(tab, f"{key}.click()")
    assert count(tab, "#by-verdict path.fill") == fills
    tab.close()


# ------------------------------------------------------------------------------------------------ by keyboard


def test_the_keyboard_finds_the_list_opens_and_closes(browser: Browser, day: tuple[Told, str]) -> None:
    tab = opened(browser, day[1])
    run(tab, "$('#tab-decisions').focus()")
    order = []
    for _ in range(40):
        press(tab, "Tab", 9)
        order.append(focused(tab))
        if order[-1] == "listbox":
            break
    assert order[-1] == "listbox", order
    press(tab, "ArrowDown", 40)
    press(tab, "ArrowDown", 40)
    press(tab, "ArrowUp", 38)
    press(tab, "ArrowDown", 40)
    assert run(tab, f"{ROW}.findIndex((r) => r.getAttribute('aria-selected') === 'true')") == 1
    assert run(tab, "document.activeElement.getAttribute('aria-activedescendant')") == run(
        tab, f"{ROW}[1].id"
    )
    press(tab, "Enter", 13)
    until(tab, "$('#detail h2') && $('#detail .pairs')")
    assert "decision=" in run(tab, "location.hash") or "refusal=" in run(tab, "location.hash")
    first = run(tab, "location.hash")
    press(tab, "ArrowDown", 40)
    until(tab, f"location.hash !== {json.dumps(first)}")
    press(tab, "Escape", 27)
    assert run(tab, "$('#detail').hidden") is True
    assert focused(tab) == "listbox"
    assert run(tab, "location.hash") == ""
    tab.close()


def test_slash_goes_to_the_search_and_p_pauses(browser: Browser, day: tuple[Told, str]) -> None:
    tab = opened(browser, day[1])
    press(tab, "/", 191, "/")
    assert focused(tab) == "query"
    assert run(tab, "$('#query').value") == ""
    for letter in "is:hand":
        press(tab, letter, 0, letter)
    press(tab, "Enter", 13, "\r")
    until(tab, f"{ROW}.length === 1")
    assert "q=is%3Ahand" in run(tab, "location.hash")
    assert focused(tab) == "listbox"
    press(tab, "p", 80, "p")
    assert text(tab, "#state") == "paused"
    assert text(tab, "#pause") == "Resume"
    press(tab, "p", 80, "p")
    assert text(tab, "#state") == "live"
    press(tab, "/", 191, "/")
    press(tab, "Escape", 27)
    until(tab, f"{ROW}.length > 1")
    tab.close()


def test_tabs_go_by_arrows_and_rules_open_by_enter(browser: Browser, day: tuple[Told, str]) -> None:
    tab = opened(browser, day[1])
    run(tab, "$('#tab-decisions').focus()")
    press(tab, "ArrowRight", 39)
    assert focused(tab) == "tab-rules"
    assert run(tab, "location.hash") == "#tab=rules"
    until(tab, "$$('#panel-rules .opener').length > 30")
    run(tab, "$('#panel-rules .opener').focus()")
    press(tab, "Enter", 13, "\r")
    until(tab, "$('#panel-rules .opened pre')")
    assert text(tab, "#panel-rules .opened pre").startswith("rule ")
    tab.close()


# ---------------------------------------------------------------------------------------- decisions and rules


def test_a_decision_is_opened_by_its_address(browser: Browser, day: tuple[Told, str]) -> None:
    told, address = day
    line = next(s for s in told.live.search("is:labelled verdict:block").decisions)
    tab = browser.open(f"{address}/#decision={line.seq}")
    until(tab, "$('#detail .firing')")
    said = text(tab, "#detail")
    assert line.fired[0] in said
    assert line.entities[0].id in said
    assert text(tab, "#detail .chip") == line.verdict
    detail = "#detail details.part"
    assert count(tab, "#detail pre.event") == 0, "the event is not asked for before somebody wants it"
    asked = [url for url in tab.requests if "/event" in url or "/explanation" in url]
    assert asked == []
    run(tab, f"$$('{detail}').forEach((d) => {{ d.open = true; }})")
    until(tab, "$('#detail pre.event') && $('#detail .tree .line')")
    assert line.id in text(tab, "#detail pre.event")
    rests = "$$('#detail .more').find((d) => d.textContent.includes('did not match'))"
    run(tab, f"{rests}.open = true")
    until(tab, f"{rests}.querySelectorAll('.result').length > 3")
    assert run(tab, f"{rests}.querySelectorAll('.tree').length") == 0, "a condition is made when it is opened"
    assert tab.errors == []
    tab.close()


def test_a_decision_that_is_not_kept_is_shown_out_of_the_journal(browser: Browser) -> None:
    told = told_of(kept=1)
    (note,), made = explanations(told.stepper, [message(1, 12)])
    with served(application(told, explained=made, journal={1: past(note)})) as address:
        tab = browser.open(f"{address}/#decision=1")
        until(tab, "$('#detail .firing')")
        assert "out of the journal" in text(tab, "#detail")
        run(tab, "$$('#detail details').forEach((d) => { d.open = true; })")
        until(tab, "$('#detail .tree') && $('#detail pre.event')")
        run(tab, "location.hash = '#decision=8'")
        until(tab, "$('#detail .wrong')")
        assert text(tab, "#detail .wrong") == "there is no such decision"
        tab.close()


def test_a_refusal_and_a_label_by_hand_are_opened(browser: Browser, day: tuple[Told, str]) -> None:
    tab = opened(browser, day[1])
    run(tab, f"{ROW}.find((r) => r.textContent.includes('refused')).click()")
    until(
        tab,
        "$('#detail h2').textContent === 'Refused event' && $('#detail .because')",
    )
    assert "not-json" in text(tab, "#detail")
    run(tab, f"{ROW}.find((r) => r.textContent.includes('by hand')).click()")
    until(tab, "$('#detail h2').textContent.startsWith('Label by hand')")
    assert "ticket 77" in text(tab, "#detail")
    tab.close()


def test_what_is_pressed_in_a_decision_is_searched_for(browser: Browser, day: tuple[Told, str]) -> None:
    told, address = day
    line = next(s for s in told.live.search("verdict:block").decisions)
    tab = browser.open(f"{address}/#decision={line.seq}", width=1600)
    until(tab, "$('#detail section .link')")
    run(tab, "$('#detail section .link').click()")
    until(tab, "$('#query').value.startsWith('entity:')")
    want = len(told.live.search(f"entity:{line.entities[0].id}").decisions)
    until(tab, f"{ROW}.length === {min(want, 100)}")
    run(tab, "$('#detail .firing .link').click()")
    until(tab, "$('#panel-rules .opened pre')")
    assert text(tab, "#panel-rules .opened pre").startswith(f"rule {line.fired[0]}")
    tab.close()


def test_filters_narrow_the_list_and_stand_in_the_address(browser: Browser, day: tuple[Told, str]) -> None:
    told, address = day
    tab = opened(browser, address)
    chip = "$$('.chips button').find((b) => b.textContent.startsWith('block'))"
    run(tab, f"{chip}.click()")
    want = min(100, len(told.live.search("verdict:block").decisions))
    until(tab, f"{ROW}.length === {want} && {ROW}.every((r) => r.textContent.includes('block'))")
    assert run(tab, "location.hash") == "#only=verdict%3Ablock"
    run(tab, "$('#query').value = 'nobody-at-all'; $('#query').dispatchEvent(new Event('input'))")
    until(tab, "$('#panel-decisions .empty').textContent.startsWith('Nothing fits')")
    run(tab, "$('#panel-decisions .empty button').click()")
    until(tab, f"{ROW}.length > {want}")
    assert run(tab, "location.hash") == ""
    tab.close()


def test_older_answers_come_when_asked_for(browser: Browser, day: tuple[Told, str]) -> None:
    tab = opened(browser, day[1])
    before = run(tab, f"{ROW}.length")
    run(tab, "$('.older').click()")
    until(tab, f"{ROW}.length > {before}")
    numbers = run(tab, f"{ROW}.map((r) => r.summary.number)")
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == len(set(numbers))
    tab.close()


def test_rules_sort_and_filter(browser: Browser, day: tuple[Told, str]) -> None:
    told, address = day
    tab = opened(browser, f"{address}/#tab=rules")
    until(tab, "$$('#panel-rules .opener').length > 30")
    names = "$$('#panel-rules .opener').map((b) => b.textContent)"
    head = "$$('#panel-rules th button').find((b) => b.textContent === 'Rule')"
    run(tab, f"{head}.click()")
    rows = {row.name: row for row in told.live.rules().rules}
    assert run(tab, names) == sorted(rows)
    assert run(tab, f"{head}.parentElement.ariaSort") == "ascending"
    run(tab, f"{head}.click()")
    assert run(tab, names) == sorted(rows, reverse=True)
    box = "$('#panel-rules input')"
    run(tab, f"{box}.value = 'SHADOW'; {box}.dispatchEvent(new Event('input'))")
    assert set(run(tab, names)) == {name for name, row in rows.items() if row.mode == "shadow"}
    tab.close()


def test_the_bundle_tells_what_is_wrong(browser: Browser, day: tuple[Told, str]) -> None:
    tab = opened(browser, day[1])
    said = "refused (7 errors, the first in floods.quell:31): an earlier version decides"
    until(tab, f"$('#alerts').textContent.includes('{said}')")
    run(tab, "$('#alerts button').click()")
    until(tab, "$('#panel-bundle .findings')")
    said = text(tab, "#panel-bundle")
    for part in ("floods.quell:31", "own_repets", "did you mean", "<script>window.hacked = 1</script>",
                 "and 5 more", "Version 2", "123 MB", "5,321"):  # fmt: skip
        assert part in said, part
    assert run(tab, "window.hacked") is None
    tab.close()


# ------------------------------------------------------------------------------------------------ as it moves


def test_new_decisions_come_by_themselves_and_the_list_keeps_still_while_looked_at(browser: Browser) -> None:
    told = told_of()
    with served(application(told)) as address:
        tab = browser.open(address)
        until(
            tab,
            "$('#panel-decisions .empty').textContent.startsWith('Nothing has been decided')",
        )
        address.do(lambda: told.decide([message(1, 12)]))
        until(tab, f"{ROW}.length === 1")
        run(tab, "$('.rows').focus()")
        press(tab, "ArrowDown", 40)
        address.do(lambda: told.decide([message(2, 12), message(3, 12)]))
        until(tab, "$('.note button')")
        assert text(tab, ".note button") == "Show 2 newer"
        assert run(tab, f"{ROW}.length") == 1
        run(tab, "$('.note button').click()")
        until(tab, f"{ROW}.length === 3")
        press(tab, "p", 80, "p")
        address.do(lambda: told.decide([message(4, 12)]))
        press(tab, "p", 80, "p")
        until(tab, f"{ROW}.length === 4")
        assert tab.errors == []
        tab.close()


def test_a_server_that_starts_anew_is_counted_anew(browser: Browser) -> None:
    told = told_of()
    told.decide([message(i, 12) for i in range(5)])
    app = application(told)
    with served(app) as address:
        tab = opened(browser, address)
        assert run(tab, f"{ROW}.length") == 5
        other = told_of()
        other.now += 9 * SECOND
        other.live._started += 9 * SECOND
        other.decide([message(9, 1)])
        app.router.routes[:] = application(other).router.routes
        until(tab, f"{ROW}.length === 1")
        legend = "$$('#by-verdict .legend li').map((l) => l.textContent).join(' ')"
        until(tab, f"{legend}.includes('allow1') && {legend}.includes('block0')")
        tab.close()


# ------------------------------------------------------------------------------------------------------- keys


def typed_key(tab: Tab, key: str) -> None:
    until(tab, "$('#ask-key').open")
    run(tab, f"$('#key-value').value = {json.dumps(key)}; $('#ask-key .chief').click()")


def test_a_key_is_asked_for_kept_by_the_tab_and_sent(browser: Browser, day: tuple[Told, str]) -> None:
    with served(application(day[0], keys=[KEY])) as address:
        tab = browser.open(address)
        typed_key(tab, "wrong key")
        assert "no blanks" in text(tab, "#key-wrong")
        typed_key(tab, "other")
        until(tab, "$('#key-wrong').textContent.includes('not known')")
        typed_key(tab, "may-decide")
        until(tab, "$('#key-wrong').textContent.includes('no scope read')")
        typed_key(tab, KEY)
        until(tab, f"{ROW}.length > 0")
        assert run(tab, "sessionStorage.getItem('quell-key')") == KEY
        assert run(tab, "JSON.stringify({...localStorage}) + document.cookie + location.href").find(KEY) < 0
        assert not [url for url in tab.requests if KEY in url]
        run(tab, "$('#key').click()")
        until(tab, "$('#ask-key') && $('#ask-key').open")
        assert run(tab, "sessionStorage.getItem('quell-key')") is None
        tab.close()


# ---------------------------------------------------------------------------------------------- hostile texts


def test_hostile_texts_are_shown_as_they_are(browser: Browser, hostile: tuple[Told, str]) -> None:
    tab = opened(browser, hostile[1], width=1600)
    shown = text(tab, "#panel-decisions .rows")
    assert HOSTILE[0] in shown
    assert "\\u202eturned" in shown
    assert "a\\u0000b\\nc\\u200b" in shown
    for i in range(run(tab, f"{ROW}.length")):
        run(tab, f"{ROW}[{i}].click()")
        until(tab, "$('#detail').ariaBusy === 'false'")
        run(tab, "$$('#detail details').forEach((d) => { d.open = true; })")
        until(
            tab,
            "$$('#detail .fetched').every((f) => f.textContent && f.textContent !== 'Asking …')",
        )
        run(tab, "$$('#detail details').forEach((d) => { d.open = true; })")
        for width in (390, 1600):
            tab.size(width, 900)
            assert too_wide(tab) <= 0
            assert run(tab, "$('#detail').scrollWidth - $('#detail').clientWidth") <= 0
    for name in ("rules", "bundle"):
        run(tab, f"$('#tab-{name}').click()")
        until(tab, f"$$('#panel-{name} .opener, #panel-{name} .card').length > 0")
        run(tab, "$$('#panel-rules .opener').forEach((b) => b.click())")
        for width in (390, 1600):
            tab.size(width, 900)
            assert too_wide(tab) <= 0, name
    assert run(tab, "window.hacked") is None
    assert count(tab, "img, main script, aside script, b.bad, i.queue") == 0
    assert tab.errors == []
    tab.close()


def test_hostile_ids_are_found_again_by_what_is_shown(browser: Browser, hostile: tuple[Told, str]) -> None:
    told, address = hostile
    tab = opened(browser, address, width=1600)
    for line in told.live.search("event:message").decisions:
        tab.run(f"location.hash = '#decision={line.seq}'")
        until(
            tab, f"$('#detail').ariaBusy === 'false' && $('#detail h2').textContent.endsWith(' {line.seq}')"
        )
        run(tab, "$('#detail section .link').click()")
        until(tab, f"{ROW}.length === 1 && {ROW}[0].summary.seq === {line.seq}")
    tab.close()


def test_a_browser_refuses_markup_out_of_texts_even_if_a_script_tried(
    browser: Browser, day: tuple[Told, str]
) -> None:
    tab = opened(browser, day[1])
    run(
        tab,
        "try { document.body.innerHTML = '<p>'; } catch (e) { window.tried = e.name; }",
    )
    assert run(tab, "window.tried") == "TypeError"
    tab.close()
