"""A chat service that asks Quell about every message, over HTTP, with nothing but the standard library.

    quell init my_policies
    python examples/service.py my_policies --port 8080
    curl -s localhost:8080/messages -d '{"type": "message_create", "id": 1, …}'

The engine is for one thread, so a lock stands around it; deciding takes microseconds. A message that is
blocked is not delivered, one that is flagged is delivered and noted, and what a rule sends goes to the
log, where a real service would queue it.
"""

from __future__ import annotations

import argparse
import logging
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from quell.engine import Decision, HandAction, PolicyError, Refused, Reply, Stepper

LARGEST = 1 << 20
SLOWEST = 10
"""The largest message in bytes, and how many seconds of silence in the middle of one end the connection."""
log = logging.getLogger("chat")


class Chat:
    """Messages delivered so far, and the engine that decides what may be."""

    def __init__(self, engine: Stepper) -> None:
        self.engine = engine
        self.delivered = 0
        self._lock = threading.Lock()

    def post(self, body: bytes) -> Reply:
        """Decide one message and deliver it unless it is blocked."""
        with self._lock:
            entry = self.engine.decode(body)
            if isinstance(entry, HandAction):  # who writes messages does not label people
                return Refused("unmatched", "labels are not set here", "block")
            decision = self.engine.reply(entry)
            if isinstance(decision, Decision) and decision.verdict != "block":
                self.delivered += 1
        if isinstance(decision, Decision):
            for sent in decision.sends:
                log.info("to %s: %s", sent.sink, sent.payload)
        return decision


class Handler(BaseHTTPRequestHandler):
    """`POST /messages` with one event as JSON answers with the decision."""

    chat: Chat
    timeout = SLOWEST

    def do_GET(self) -> None:
        """Say what can be asked for."""
        self._answer(405, {"error": "post messages to /messages"})

    def do_POST(self) -> None:
        """Reply one request."""
        length = self.headers.get("Content-Length", "")
        if self.path != "/messages":
            self._answer(404, {"error": "post messages to /messages"})
        elif re.fullmatch(r"[0-9]{1,18}", length) is None:
            self._answer(411, {"error": "send a Content-Length"})
        elif int(length) > LARGEST:
            self._answer(413, {"error": f"a message has at most {LARGEST} bytes"})
        else:
            decision = self.chat.post(self.rfile.read(int(length)))
            self._answer(200 if isinstance(decision, Decision) else 422, decision)

    def _answer(self, status: int, content: object) -> None:
        body = msgspec.json.encode(content)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep requests out of the log: they hold what people wrote."""


def serve(policies: str, port: int) -> ThreadingHTTPServer:
    """A server on this machine only, ready to run. Port 0 takes a free one."""
    chat = Chat(Stepper.load(policies))
    handler = type("ChatHandler", (Handler,), {"chat": chat})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> None:
    """Run the service until it is interrupted."""
    parser = argparse.ArgumentParser(description="A chat service that asks Quell about every message.")
    parser.add_argument("policies", help="the bundle's folder")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    try:
        server = serve(options.policies, options.port)
    except PolicyError as error:
        raise SystemExit(str(error)) from None
    log.info("listening on http://127.0.0.1:%s/messages", server.server_address[1])
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        log.info("stopped")
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
