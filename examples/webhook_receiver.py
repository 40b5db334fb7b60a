"""Takes what Quell sends to a webhook, with nothing but the standard library: is it really from Quell, and
has it come before?

    MOD_QUEUE_SECRET=something-long python examples/webhook_receiver.py --port 8090

and in service.toml of `quell serve`, whose environment has the same secret:

    [sinks.mod-queue]
    url = "http://127.0.0.1:8090/"
    allow = ["127.0.0.0/8"]
    secret_env = "MOD_QUEUE_SECRET"

Quell sends each message at least once, always under the same key. Here keys are kept in memory; a service
that acts on messages keeps them where it keeps what it did, in the same transaction.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

TOLERANCE = 300
"""Seconds that a signature is good for, so that what was overheard cannot be sent again later."""
LARGEST = 1 << 20
"""Bytes that a message may have."""


def is_signed(header: str, body: bytes, secret: bytes, now: float) -> bool:
    """Whether the header `Quell-Signature` of a message is right: `t=<seconds>,v1=<HMAC-SHA256>`, with a `v1`
    for each secret while one takes another's place."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    when = next((value for name, _, value in pairs if name == "t"), "")
    if not (when.isascii() and when.isdigit() and len(when) < 12) or abs(now - int(when)) > TOLERANCE:
        return False
    right = hmac.new(secret, when.encode() + b"." + body, "sha256").hexdigest()
    return any(
        name == "v1" and hmac.compare_digest(value.encode(), right.encode()) for name, _, value in pairs
    )


class Receiver(ThreadingHTTPServer):
    """A server for messages signed with a secret, on this machine."""

    daemon_threads = True

    def __init__(self, port: int, secret: bytes) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.secret = secret
        self.seen: set[str] = set()
        self.lock = Lock()

    def take(self, message: dict[str, Any]) -> None:
        """Act on a message, which has not come before."""
        print(f"{message['verdict']}: {message['rule']} says {json.dumps(message['payload'])}", flush=True)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    server: Receiver  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        """Anything below 300 is delivered; 5xx and 429 come again, other errors become dead letters."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST:
            self.close_connection = True
            self.answer(413, "too large")
            return
        body = self.rfile.read(int(length))
        if not is_signed(self.headers.get("Quell-Signature", ""), body, self.server.secret, time.time()):
            self.answer(401, "the signature is not right")
            return
        key = self.headers.get("Idempotency-Key", "")
        with self.server.lock:
            if key not in self.server.seen:
                self.server.take(json.loads(body))
                self.server.seen.add(key)
        self.answer(200, "taken")

    def answer(self, status: int, text: str) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing of each request."""


def main() -> int:
    """Receive until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Take what Quell sends to a webhook.")
    parser.add_argument("--port", type=int, default=8090)
    port = parser.parse_args().port
    secret = os.environ.get("MOD_QUEUE_SECRET", "")
    if not secret:
        print("set MOD_QUEUE_SECRET to the secret that `quell serve` signs with", file=sys.stderr)
        return 2
    with Receiver(port, secret.encode()) as server:
        print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
