"""Pages for people: what the service can be asked, with a way to try it, and what problems mean.

They hold nothing of the service and are given to everybody; what they show beyond that they ask for, with the
key of whoever looks. They run under a policy that lets them load their own files and ask this server, and
nothing else.
"""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from quell.engine.event_problems import KINDS as EVENT_KINDS
from quell.engine.http_call import response_of
from quell.engine.http_problem import HTTP_KINDS, details, kind_of

FILES = {
    "http_docs.css": "text/css; charset=utf-8",
    "http_docs.js": "text/javascript; charset=utf-8",
    "http_docs_dom.js": "text/javascript; charset=utf-8",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_ALWAYS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_HTML = "text/html; charset=utf-8"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Quell</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/http_docs.css">
</head>
<body class="plain">
<main>
<p class="crumbs"><a href="/docs">API</a> / <a href="/problems">problems</a></p>
{body}
</main>
</body>
</html>
"""


def pages() -> list[Route]:
    """The routes of the pages."""
    return [
        Route("/docs", _docs),
        Route("/docs/{name}", _file_of),
        Route("/problems", _problems),
        Route("/problems/{kind}", _problem),
    ]


@cache
def _file(name: str) -> bytes:
    return files("quell.engine").joinpath(name).read_bytes()


async def _docs(request: Request) -> Response:
    return Response(_file("http_docs.html"), headers=_ALWAYS, media_type=_HTML)


async def _file_of(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in FILES:
        return response_of(details("not-found"))
    return Response(_file(name), headers={**_ALWAYS, "Content-Type": FILES[name]})


async def _problems(request: Request) -> Response:
    rows = "".join(
        f'<tr><td><a href="/problems/{kind}"><code>{kind}</code></a></td><td>{kind_of(kind).status}</td>'
        f"<td>{escape(kind_of(kind).title)}</td></tr>"
        for kind in sorted({*HTTP_KINDS, *EVENT_KINDS})
    )
    head = "<thead><tr><th>kind</th><th>status</th><th>title</th></tr></thead>"
    body = f"<h1>Problems</h1><table>{head}<tbody>{rows}</tbody></table>"
    return Response(_PAGE.format(title="Problems", body=body), headers=_ALWAYS, media_type=_HTML)


async def _problem(request: Request) -> Response:
    kind = request.path_params["kind"]
    if kind not in HTTP_KINDS and kind not in EVENT_KINDS:
        return response_of(details("not-found", hint="/problems lists them"))
    known = kind_of(kind)
    body = (
        f"<h1><code>{kind}</code></h1><p>HTTP status {known.status}: {escape(known.title)}</p>"
        f"<p>{escape(known.meaning[:1].upper() + known.meaning[1:])}.</p>"
    )
    if known.hint:
        body += f"<p>What to try: {escape(known.hint)}.</p>"
    return Response(_PAGE.format(title=kind, body=body), headers=_ALWAYS, media_type=_HTML)
