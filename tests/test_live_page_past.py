"""The live page after a restart and while its server is gone, in a browser, and its way by keys alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from quell.engine.checkpoint import Data
from quell.engine.live import Live
from quell.engine.live_recall import recall
from tests.browser import Browser, Tab, found
from tests.live_support import LABEL, POLICY, SECOND, application, message, past, served
from tests.live_support import told as told_of
from tests.test_live_page import ROW, focused, press, run, text, until
from tests.test_live_recall import put, written

pytestmark = pytest.mark.slow

BEFORE = "verdicts allow < review < banish\n" + POLICY.replace("then block", "then banish").replace(
    "rule shouting", "rule gone_rule"
).replace("then flag", "then review")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = found()
    if path is None:
        pytest.skip("no Chromium is installed, or name one in QUELL_BROWSER")
    with Browser(path) as running:
        yield running


def offline(tab: Tab, gone: bool) -> None:
    """As if the server were gone."""
    tab.call(
        "Network.emulateNetworkConditions",
        offline=gone,
        latency=0,
        downloadThroughput=-1,
        uploadThroughput=-1,
    )


def chip(tab: Tab, word: str) -> str:
    return str(run(tab, f"$$('.chips button').map((b) => b.textContent).find((t) => t.startsWith('{word}'))"))


def test_after_a_restart_it_fills_with_what_the_journal_remembers(browser: Browser, tmp_path: Path) -> None:
    before = told_of(BEFORE)
    notes = before.decide([message(i, 12 if i % 4 == 0 else 1) for i in range(80)] + [LABEL], step=SECOND)
    put(tmp_path, written(notes))
    now = told_of()
    now.now = before.now + 10 * SECOND
    now.live = Live(lambda: now.stepper.bundle, lambda: now.now, recalling=True)
    recalled = recall(Data(tmp_path), 1 << 40, now.now)
    recalled = msgspec.structs.replace(recalled, levels=before.live.now().ladder)
    with served(application(now, journal={n.reply.seq: past(n) for n in notes})) as address:  # type: ignore[union-attr]
        tab = browser.open(f"{address}/#only=verdict:banish")
        until(tab, "$('#panel-decisions .empty').textContent.startsWith('The journal is being read')")
        assert text(tab, "#figures div:nth-child(2) .sub") == "reading the journal …"
        assert text(tab, "#by-verdict .nothing") == "The journal is being read …"
        address.do(lambda: list(now.live.recall(recalled)))
        until(tab, f"{ROW}.length === 20")
        assert text(tab, ".note [role=status]") == "20 found"
        run(tab, "$('.chips button').click()")
        until(tab, f"{ROW}.length > 20")
        assert run(tab, "$('.note').lastChild.textContent").startswith("newest 81, back to ")
        assert chip(tab, "banish") == "banish20"
        assert chip(tab, "Acted on") == "Acted on20"
        assert run(tab, "$$('#by-verdict .key.v-8').map((k) => k.textContent)") == ["banish", "block"]
        assert run(tab, f"{ROW}.every((row) => row.lastChild.textContent === '–')")
        run(tab, f"{ROW}.find((row) => row.textContent.includes('banish')).click()")
        until(tab, "$('#detail .part')")
        assert "took" not in text(tab, "#detail")
        assert run(tab, "Boolean($('#detail .top .chip.v-8'))")
        run(tab, "$('#tab-rules').click()")
        until(tab, "$('#panel-rules .badge.gone')")
        assert "hits counted since" in text(tab, "#panel-rules .above")
        assert tab.errors == []
        tab.close()


@pytest.fixture
def shown(browser: Browser) -> Iterator[tuple[Callable[[int], None], Tab]]:
    """How to have another event decided, and the page of a service that decided five."""
    told = told_of()
    told.decide([message(i, 12) for i in range(5)], step=SECOND)
    with served(application(told)) as address:
        tab = browser.open(address)
        until(tab, f"{ROW}.length === 5")
        yield lambda i: address.do(lambda: told.decide([message(i, 12)])), tab
        tab.close()


def test_while_the_server_is_gone_it_says_so_and_goes_on_by_itself(
    shown: tuple[Callable[[int], None], Tab],
) -> None:
    decide, tab = shown
    offline(tab, True)
    until(tab, "$('#state').textContent.startsWith('no answer from the server since ')")
    assert run(tab, "document.documentElement.classList.contains('stale')")
    assert run(tab, f"{ROW}.length") == 5
    run(tab, f"{ROW}[1].click()")
    until(tab, "$('#detail .wrong')")
    assert text(tab, "#detail button:not(.quiet)") == "Try again"
    decide(9)
    offline(tab, False)
    until(tab, "$('#state').textContent === 'live'")
    until(tab, "$('#detail .part')")
    assert not run(tab, "document.documentElement.classList.contains('stale')")


def test_what_is_opened_is_gone_into_with_the_arrow_keys(shown: tuple[Callable[[int], None], Tab]) -> None:
    _, tab = shown
    run(tab, "$('#skip').focus()")
    press(tab, "Enter", 13, "\r")
    assert focused(tab) == "listbox"
    press(tab, "ArrowRight", 39)
    assert focused(tab) == "listbox", "nothing is opened yet"
    press(tab, "ArrowDown", 40)
    press(tab, "Enter", 13, "\r")
    until(tab, "$('#detail .part')")
    until(tab, "$$('[role=status]').some((s) => s.textContent === 'message · decision 5 is opened')")
    press(tab, "ArrowRight", 39)
    assert run(tab, "document.activeElement === $('#detail h2')")
    press(tab, "ArrowLeft", 37)
    assert focused(tab) == "listbox"
    press(tab, "ArrowDown", 40)
    until(tab, "$('#detail h2').textContent.includes('decision 4')")
    assert focused(tab) == "listbox"
    press(tab, "Escape", 27)
    assert run(tab, "$('#detail').hidden")
    assert focused(tab) == "listbox"


def test_on_a_small_screen_reading_goes_on_in_what_covers_it(
    shown: tuple[Callable[[int], None], Tab],
) -> None:
    _, tab = shown
    tab.size(390, 800)
    run(tab, f"{ROW}[0].click()")
    until(tab, "$('#detail .part')")
    until(tab, "document.activeElement === $('#detail h2')")
    press(tab, "Escape", 27)
    assert focused(tab) == "listbox"


def test_what_is_announced_does_not_change_with_every_answer(
    shown: tuple[Callable[[int], None], Tab],
) -> None:
    decide, tab = shown
    run(tab, "$('.rows').focus()")
    press(tab, "ArrowDown", 40)
    for i in (1, 2):
        decide(10 + i)
        until(tab, f"($('.note button') || {{}}).textContent === 'Show {i} newer'")
        assert text(tab, ".note [role=status]") == "Held while you look"
