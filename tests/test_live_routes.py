"""The live page over HTTP: its files, the JSON it asks for, and who may ask."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quell.engine.decision import Refused
from quell.engine.journal_format import JournalError
from quell.engine.live_routes import ASSETS, POLICY
from quell.engine.live_search import KEYS, STATES
from quell.engine.live_types import Detail, EventText, Found, LiveStatus, LiveUpdate, Rules, RuleText
from tests.live_support import HISTORY, KEY, LABEL, Client, Past, Told, application, message, past, told

PATHS = (
    "/v1/live",
    "/v1/live/rules",
    "/v1/live/rules/shouting",
    "/v1/live/search?q=u1",
    "/v1/live/decisions/1",
    "/v1/live/decisions/1/event",
    "/v1/live/refusals/3",
    "/v1/live/refusals/3/event",
    "/v1/live/status",
)


@pytest.fixture(scope="module")
def kept() -> Told:
    kept = told()
    kept.decide([message(1, 12), message(2, 7), b"no event", LABEL])
    return kept


@pytest.fixture(scope="module")
def client(kept: Told) -> Client:
    return Client(application(kept))


def test_the_page_may_do_nothing_but_ask_this_server(client: Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == POLICY
    assert "'unsafe" not in POLICY
    assert "default-src 'none'" in POLICY
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    for tag in re.findall(r"<(?:script|link|img)\b[^>]*>", page.text):
        where = re.search(r'(?:src|href)="([^"]+)"', tag)
        assert where is not None, tag
        assert where[1].removeprefix("/live/") in ASSETS
    assert not re.search(r"<style|\bstyle=|\bon\w+=|</script>.*<script>", page.text)


def test_every_asset_is_served_and_none_is_forgotten(client: Client) -> None:
    here = {p.name for p in files("quell.engine").iterdir() if re.fullmatch(r"live.*\.(css|js|svg)", p.name)}
    assert here == set(ASSETS)
    for name, media in ASSETS.items():
        got = client.get(f"/live/{name}")
        assert (got.status_code, got.headers["content-type"]) == (200, media)
        assert got.headers["content-security-policy"].startswith("default-src 'none'")


def test_no_script_takes_data_for_markup_or_code() -> None:
    """What the policy enforces in browsers that know it, for every browser."""
    for name in ASSETS:
        text = files("quell.engine").joinpath(name).read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc", text
        ), name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name


def test_a_browser_that_has_a_file_is_told_so(client: Client) -> None:
    for path in ("/", "/live/live.css"):
        first = client.get(path)
        assert first.headers["cache-control"] == "no-cache"
        tag = first.headers["etag"]
        again = client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
        assert client.get(path, method="HEAD").status_code == 200


@pytest.mark.parametrize(
    "path", ["/live/live.py", "/live/..%2flive.py", "/live/.%2e/live.py", "/live/%00", "/live/"]
)
def test_nothing_else_of_the_folder_is_served(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("/v1/live", LiveUpdate),
        ("/v1/live?since=5", LiveUpdate),
        ("/v1/live/rules", Rules),
        ("/v1/live/rules/shouting", RuleText),
        ("/v1/live/search", Found),
        ("/v1/live/search?q=rule%3Ashouting&limit=1&before=3", Found),
        ("/v1/live/decisions/1", Detail),
        ("/v1/live/decisions/1/event", EventText),
        ("/v1/live/refusals/3", Detail),
        ("/v1/live/status", LiveStatus),
        ("/v1/live/refusals/3/event", EventText),
    ],
)
def test_what_the_page_asks_for_is_json_of_its_type(client: Client, path: str, type_: Any) -> None:
    got = client.get(path)
    assert (got.status_code, got.headers["content-type"]) == (200, "application/json")
    assert got.headers["cache-control"] == "no-store", "events are personal data"
    assert got.headers["x-content-type-options"] == "nosniff"
    msgspec.json.decode(got.content, type=type_)


def test_the_status_is_what_the_service_says(client: Client) -> None:
    said = client.get("/v1/live/status").json()
    assert [v["number"] for v in said["versions"]] == [v.number for v in HISTORY]
    assert said["service"]["reload"]["last"]["findings"][0]["line"] == 31
    assert said["waiting"] == 0


def test_what_is_not_kept_any_more_is_out_of_the_journal() -> None:
    kept = told(kept=1)
    decided, acted, _ = kept.decide([message(1, 12), LABEL, message(3)])
    client = Client(application(kept, journal={1: past(decided), 2: past(acted)}))
    for seq, kind in ((1, "decision"), (2, "by hand"), (3, "decision")):
        detail = msgspec.json.decode(client.get(f"/v1/live/decisions/{seq}").content, type=Detail)
        assert (detail.summary.kind, detail.summary.seq) == (kind, seq)
        assert (detail.summary.number == 0) == (seq < 3)
        event = msgspec.json.decode(client.get(f"/v1/live/decisions/{seq}/event").content, type=EventText)
        assert event.json
    assert client.get("/v1/live/decisions/4").status_code == 404


def test_what_the_journal_does_not_tell_as_a_decision_is_no_defect_of_the_page() -> None:
    kept = told(kept=1)
    decided, _ = kept.decide([message(1, 12), message(2)])
    failed = decided._replace(reply=Refused("internal", "it failed", "review", "", "message"))

    class Journal(dict[int, Past]):
        def get(self, seq: int, otherwise: Any = None) -> Any:
            if seq == 9:
                raise JournalError("the journal is damaged", "put it back")
            return super().get(seq, otherwise)

    newer = past(decided)._replace(reply=msgspec.Raw(b'{"event": "message", "verdict": 7}'))
    client = Client(application(kept, journal=Journal({7: past(failed), 8: newer})))
    detail = msgspec.json.decode(client.get("/v1/live/decisions/7").content, type=Detail)
    assert detail.summary.kind == "refused"
    assert client.get("/v1/live/decisions/8").status_code == 500
    said = client.get("/v1/live/decisions/9")
    assert (said.status_code, "the journal is damaged" in said.text) == (500, True)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/live/decisions/99", 404),
        ("/v1/live/decisions/99999999999999999999999", 404),
        ("/v1/live/decisions/99/event", 404),
        ("/v1/live/refusals/99", 404),
        ("/v1/live/refusals/99/event", 404),
        ("/v1/live/rules/nobody", 404),
        ("/v1/live/rules/", 404),
        ("/v1/live?since=soon", 400),
        ("/v1/live?since=-1", 400),
        ("/v1/live?since=٣", 400),
        ("/v1/live?since=" + "9" * 30, 400),
        ("/v1/live/search?before=x", 400),
        ("/v1/live/search?limit=1.5", 400),
        ("/v1/live/search?q=" + "x" * 2_001, 400),
    ],
)
def test_what_cannot_be_is_said_with_a_hint(client: Client, path: str, status: int) -> None:
    got = client.get(path)
    assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json")
    said = got.json()
    assert said["status"] == status
    assert said["detail"]
    assert said["hint"]


def test_figures_that_are_too_large_or_small_do_no_harm(client: Client) -> None:
    assert client.get("/v1/live?since=9223372036854775807").json()["told"] == 4
    assert len(client.get("/v1/live/search?limit=0").json()["decisions"]) == 1
    assert len(client.get("/v1/live/search?limit=99999999").json()["decisions"]) == 4


def test_the_page_and_the_reference_say_how_to_search(client: Client) -> None:
    """Every key of the search language, and every state, stands in both; and nothing that is neither."""
    reference = (Path(__file__).parent / "language" / "15-service.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+):\S+` \|(.*)\|$", reference, re.M)
    assert sorted(key for key, _ in rows) == sorted(KEYS)
    assert set(re.findall(r"`(\w+)`", dict(rows)["is"])) == STATES
    help_ = dict(re.findall(r"<dt>(\w+):\S+</dt><dd>(.*?)</dd>", client.get("/").text))
    assert sorted(help_) == sorted(KEYS)
    assert set(re.findall(r"\w+", help_["is"])) - {"or"} | {"shadow"} == STATES


def test_only_reading_is_possible(client: Client) -> None:
    assert client.get("/v1/live", method="POST").status_code == 405
    assert client.get("/v1/live/rules/shouting", method="DELETE").status_code == 405


@pytest.mark.parametrize("path", PATHS)
def test_what_is_made_of_events_is_for_those_who_may_read(kept: Told, path: str) -> None:
    client = Client(application(kept, keys=[KEY]))
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer other"}).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer may-decide"}).status_code == 403
    assert client.get(path, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_every_path_asks_who_it_is(kept: Told) -> None:
    """None of the routes that tell of the service is open when everybody is refused."""
    app = application(kept, keys=[KEY])
    client = Client(app)
    paths = [r.path for r in app.routes if getattr(r, "path", "").startswith("/v1/")]  # type: ignore[attr-defined]
    assert len(paths) == len(PATHS) + 1
    for path in paths:
        filled = (
            path.replace("{number:number}", "1").replace("{name:path}", "shouting").replace("{seq:int}", "1")
        )
        assert client.get(filled).status_code == 401, path
    assert client.get("/").status_code == 200
