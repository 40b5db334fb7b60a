"""The pages about the API: whole without a key, under a strict policy, and usable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from quell.engine.event_problems import KINDS
from quell.engine.http_docs import FILES
from quell.engine.http_problem import HTTP_KINDS
from tests.browser import Browser, Tab, found
from tests.conftest import ROOT
from tests.http_support import client, keyring, parts_of, running


@pytest.mark.parametrize("path", ["/docs", "/problems", "/problems/bad-time", *(f"/docs/{f}" for f in FILES)])
def test_pages_are_given_to_everybody_and_may_do_little(path: str) -> None:
    answer = client(parts_of(local=False)).get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_ask_nobody_else() -> None:
    for name in ("http_docs.html", *FILES):
        text = (ROOT / "engine" / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|//cdn|@import|innerHTML|outerHTML|eval\(", text), name
        assert not re.search(r'\son\w+="|style="|<script>', text), name


def test_every_kind_of_problem_is_explained_where_its_type_leads() -> None:
    asked = client()
    listed = asked.get("/problems").text
    for kind in {*HTTP_KINDS, *KINDS}:
        page = asked.get(f"/problems/{kind}")
        assert page.status_code == 200
        assert kind in page.text
        assert f'href="/problems/{kind}"' in listed


# ------------------------------------------------------------------------- in a browser

needs_browser = pytest.mark.skipif(found() is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = found()
    assert path is not None
    with Browser(path) as opened:
        yield opened


def show(browser: Browser, address: str, empty: Path, width: int = 1280) -> Tab:
    """A tab at an address."""
    empty.write_text("<!doctype html><title>empty</title>")
    tab = browser.open(empty, width)
    tab.address = address
    tab.call("Page.navigate", url=address)
    tab.until('location.protocol === "http:" && document.readyState === "complete"')
    return tab


@needs_browser
def test_an_operation_is_opened_and_tried_with_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    with running(parts_of()) as server:
        tab = show(browser, f"http://localhost:{server.port}/docs", tmp_path / "empty.html")
        tab.until("document.querySelectorAll('details.operation').length > 15")
        assert tab.run("document.querySelectorAll('nav a').length") > 15
        tab.run("document.querySelector('#decide summary').focus()")
        tab.key("Enter", 13, "\r")
        tab.until("document.querySelector('#decide button.chief') !== null")
        assert tab.run("JSON.parse(document.querySelector('#decide textarea').value).type") == "message"
        tab.run("document.querySelector('#decide button.chief').focus()")
        tab.key("Enter", 13, "\r")
        assert tab.until("document.querySelector('#decide .status')?.textContent") == "200"
        assert '"verdict": "allow"' in tab.run("document.querySelector('#decide .answer pre').textContent")
        assert "curl -s" in tab.run("document.querySelector('#decide').textContent")
        assert server.parts.service.engine.stepper.seq == 1
        tab.run("document.querySelectorAll('details.operation').forEach((d) => { d.open = true; })")
        tab.until("document.querySelectorAll('details.operation:not(:has(button.chief))').length === 0")
        tab.size(360, 800)
        assert tab.run("document.documentElement.scrollWidth <= 360")
        assert not tab.errors
        asked = {url for url in tab.requests if not url.startswith(("file:", "data:"))}
        assert asked
        assert {url.split("/")[2] for url in asked} == {f"localhost:{server.port}"}
        tab.close()


@needs_browser
def test_a_key_is_asked_for_and_used_for_this_tab_alone(browser: Browser, tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    with running(parts_of(keys=ring.keys)) as server:
        tab = show(browser, f"http://localhost:{server.port}/docs", tmp_path / "empty.html")
        assert "key" in tab.until("document.querySelector('#told').textContent").lower()
        tab.run(f"document.querySelector('#key-value').value = {ring.texts['decide']!r}")
        tab.run("document.querySelector('#key button').click()")
        tab.until("document.querySelectorAll('details.operation').length > 15")
        assert tab.run("document.querySelector('#key-value').value") == ""
        tab.run("location.hash = '#status'")
        tab.until("document.querySelector('#status button.chief') !== null")
        tab.run("document.querySelector('#status button.chief').click()")
        assert tab.until("document.querySelector('#status .status')?.textContent") == "403"
        assert ring.texts["decide"] not in tab.run("document.body.textContent")
        assert tab.run("Object.keys(localStorage).length") == 0
        assert tab.run("document.cookie") == ""
        tab.close()


@needs_browser
def test_what_an_answer_holds_is_text_and_nothing_else(browser: Browser, tmp_path: Path) -> None:
    with running(parts_of()) as server:
        tab = show(browser, f"http://localhost:{server.port}/docs#decide", tmp_path / "empty.html")
        tab.until("document.querySelector('#decide button.chief') !== null")
        sent = r'{"type": "<img src=x onerror=alert(1)>\u202e"}'
        tab.run(f"document.querySelector('#decide textarea').value = {sent!r}")
        tab.run("document.querySelector('#decide button.chief').click()")
        assert tab.until("document.querySelector('#decide .status')?.textContent") == "422"
        shown = tab.run("document.querySelector('#decide .answer pre').textContent")
        assert "<img" in shown
        assert "\u202e" not in shown
        assert tab.run("document.querySelectorAll('#operations img').length") == 0
        tab.close()
