"""The example that receives what Quell sends: signed, and each message once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from threading import Thread
from typing import Any

import pytest

from examples.webhook_receiver import Receiver
from quell.engine.outbox_types import Dead, Delivery, Message
from quell.engine.sink_webhook import Webhook, WebhookSettings


class Noting(Receiver):
    """Notes what it would act on."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(0, secret)
        self.taken: list[dict[str, Any]] = []

    def take(self, message: dict[str, Any]) -> None:
        self.taken.append(message)


@contextmanager
def receiving(secret: bytes) -> Iterator[Noting]:
    with Noting(secret) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def message(number: int) -> Message:
    return Message("mods", "flood", f"j-{number}-0-x", number, "message", None, 0, "block", {"n": number})


def webhook(server: Receiver, *secrets: str) -> Webhook:
    url = f"http://127.0.0.1:{server.server_port}/"
    allow = (ip_network("127.0.0.0/8"),)
    return Webhook(WebhookSettings("mods", url, Delivery(), secrets=secrets, allow=allow))


@pytest.mark.parametrize("secrets", [("s3cret",), ("before", "s3cret")])
def test_each_message_is_taken_once(secrets: tuple[str, ...]) -> None:
    async def main(server: Receiver) -> None:
        sink = webhook(server, *secrets)
        for number in (1, 2, 1, 3, 2):
            await sink.deliver(message(number))
        await sink.close()

    with receiving(b"s3cret") as server:
        asyncio.run(main(server))
    assert [one["payload"] for one in server.taken] == [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize("secrets", [(), ("other",)])
def test_what_is_not_signed_with_the_secret_is_refused(secrets: tuple[str, ...]) -> None:
    async def main(server: Receiver) -> None:
        sink = webhook(server, *secrets)
        with pytest.raises(Dead, match="answered 401: the signature is not right"):
            await sink.deliver(message(1))
        await sink.close()

    with receiving(b"s3cret") as server:
        asyncio.run(main(server))
    assert server.taken == []
