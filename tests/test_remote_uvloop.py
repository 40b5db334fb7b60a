"""Remote models over HTTP on the event loop that `quell serve` runs, whose transports are not asyncio's."""

from __future__ import annotations

import uvloop

from quell.signals.remote import Remotes, RemoteSpec, Request, Target
from tests.remote_server import RemoteServer

MINUTE = 60_000_000


def test_a_question_is_answered_on_uvloop() -> None:
    async def main() -> None:
        async with RemoteServer() as server:
            asked = Remotes(
                {"scam": RemoteSpec("scam", "classifier", ("text", "n"), (), MINUTE)},
                {"classifier": Target("classifier", url=server.url, timeout=MINUTE)},
                environ={},
            )
            answers = [await asked.ask(Request("scam", ("hello", 3))) for _ in range(2)]
            assert [answer.status for answer in answers] == ["answered"] * 2
            assert asked.stats()["classifier"].calls == 2
            await asked.close()

    uvloop.run(main())
