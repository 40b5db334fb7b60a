"""The health of a service that runs: its metrics say what it did, and its log what turned."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import msgspec
import pytest

from quell.engine.health import Health
from quell.engine.logs import Logs
from quell.engine.service_settings import LogSettings
from quell.engine.serving import Setup, serving
from tests.metrics_support import POLICY, of, samples
from tests.service_here import unwatched


def event(n: int) -> bytes:
    said = {"type": "message", "id": str(n), "at": 1_700_000_000 + n, "author": f"u{n % 3}"}
    return msgspec.json.encode(said)


@pytest.mark.slow
def test_a_service_and_its_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decided, journalled, reloaded, refused, ended."""
    unwatched(monkeypatch)
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "p.quell").write_text(POLICY, encoding="utf-8")
    log = io.StringIO()

    async def run() -> None:
        health = Health()
        async with serving(policies, tmp_path / "data", Setup(tell=health.reloaded)) as running:
            health.follow(running)
            metrics = health.metrics
            metrics._fresh = 0
            assert of(samples(metrics), "quell_outbox_trouble", "sink") == {"queue": 1}  # before any send
            for n in range(12):
                await running.service.decide(event(n))
            await running.service.decide(b"{")
            running.service.tell()
            found = samples(metrics)
            assert of(found, "quell_decisions_total", "verdict") == {"allow": 6, "block": 6}
            assert of(found, "quell_refusals_total", "kind") == {"not-json": 1}
            assert of(found, "quell_decision_seconds_count", "event") == {"message": 12}
            assert of(found, "quell_journal_problem") == {(): 0}
            assert of(found, "quell_journal_last_number")[()] >= 12
            assert of(found, "quell_outbox_waiting", "sink") == {"queue": 6}
            assert of(found, "quell_version_info", "number") == {"1": 1}
            (policies / "p.quell").write_text(POLICY.replace("sent >= 3", "sent >= 4"), encoding="utf-8")
            await running.reloader.reload("ada", "asked for")
            (policies / "p.quell").write_text(POLICY + "\nrule broken\n", encoding="utf-8")
            await running.reloader.reload("ada", "asked for")
            found = samples(metrics)
            assert of(found, "quell_version_info", "number") == {"2": 1}
            by_result = {"live": 1, "refused": 1, "unchanged": 0, "failed": 0}
            assert of(found, "quell_reloads_total", "result") == by_result
            assert of(found, "quell_reload_refused") == {(): 1}
            assert of(found, "quell_journal_sync_timestamp_seconds")[()] > 1_700_000_000
            health.look()
            health.close()

    with Logs(LogSettings("json", "info", False), log):
        asyncio.run(run())
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    names = [line["event"] for line in lines]
    assert names.count("reload.live") == 1
    assert names.count("reload.refused") == 1
    assert "reload.finding" in names
    assert names.count("sink.unknown") == 2  # at the start, and for the version after
    assert "log.other" not in names, lines
