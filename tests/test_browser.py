"""The driver of the browser the pages are tested with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import Browser, found

PATH = found()
pytestmark = pytest.mark.skipif(PATH is None, reason="no Chromium is installed; QUELL_BROWSER may name one")

RESTLESS = """<!doctype html><script>
  window.name = Number(window.name || 0) + 1;
  if (Number(window.name) < 30) setTimeout(() => location.reload(), 1);
</script>"""


def test_waiting_goes_on_while_the_page_is_loaded_anew(tmp_path: Path) -> None:
    assert PATH is not None
    page = tmp_path / "restless.html"
    page.write_text(RESTLESS)
    with Browser(PATH) as browser:
        tab = browser.open(page)
        # The answer comes later than the page stays, so most questions are cut short.
        assert tab.until("new Promise((done) => setTimeout(() => done(window.name === '30'), 20))")


def test_what_a_script_raises_is_told_at_once(tmp_path: Path) -> None:
    assert PATH is not None
    page = tmp_path / "still.html"
    page.write_text("<!doctype html><p>still</p>")
    with Browser(PATH) as browser, pytest.raises(AssertionError, match="nowhere is not defined"):
        browser.open(page).until("nowhere.to.be.found")
