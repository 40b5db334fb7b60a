"""A Quell service as `quell serve` runs it, for the benchmark.

`python -m tests.bench.service_quell POLICIES DATA DURABILITY PORT`; whoever starts it makes policies and keys.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import uvloop

from quell.engine.http_access import Access
from quell.engine.http_parts import Parts
from quell.engine.http_pressure import Limits, Pressure
from quell.engine.http_run import Door, run
from quell.engine.http_server import bind
from quell.engine.keys import Keys
from quell.engine.live import Live
from quell.engine.metrics import Metrics
from quell.engine.service_settings import Listen
from quell.engine.serving import Setup, serving


async def serve(policies: str, data: str, durability: str, port: int) -> None:
    """Serve until SIGTERM."""
    setup = Setup(durability=durability, ahead=None)  # type: ignore[arg-type]  # of the command line
    async with serving(policies, data, setup) as running:
        service = running.service
        metrics = Metrics()
        live = Live(lambda: service.bundle, lambda: time.time_ns() // 1000)
        service.watchers += [metrics.watch, live.watch]
        metrics.start()
        listen = Listen(port=port)
        access = Access(Keys(Path(data) / "keys.json"), True)
        await run(Parts(service, access, Pressure(Limits())), Door(bind(listen.host, port), access, listen))
        metrics.close()


if __name__ == "__main__":
    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(
        serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
    )
