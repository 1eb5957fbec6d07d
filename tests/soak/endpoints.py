"""Rude servers, as a program of its own: the /metrics of hostile trials, each in a way of its own, and a Prometheus.

    python -m soak.endpoints PORT_OF_PROMETHEUS WAY=PORT...

The Prometheus tells the truth about honest tenants' Jobs (`soak.tenants.value_of`), unless it was told to lie (`POST
/lie?on=true`): then it says nothing that can be taken for an answer. To whoever asks about a hostile tenant's namespace
it always lies, each time in another way, and false answers are among them. What looks like an answer is one to the
operator, so false ones are not told to honest tenants: nobody could tell them from true ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import json
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping

from aiohttp import web

from soak.tenants import value_of

HOSTILE = "hostile"
_JOB = re.compile(r'job="([^"]+)"')
_TRIALS = 30
_MIB = 2**20
# No answer at all, and a connection that ends: by status codes that stand for them.
_HANGS, _CUT = 504, 503

Writer = asyncio.StreamWriter


def _answer(body: bytes, *headers: str, length: int | None = None) -> bytes:
    said = ["HTTP/1.1 200 OK", "Content-Type: text/plain", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*said, *headers, "", ""]).encode() + body


def _curve(step: int = 30_000_000, lines: int = 1) -> bytes:
    """Return a trial's text, for whichever number it has."""
    each = []
    for trial in range(_TRIALS):
        labels = f'{{trial="{trial}",metric="y"}}'
        each.append(f"kubestudy_trial_metric{labels} 0.5\nkubestudy_trial_step{labels} {step}\n")
    return "".join(each * lines).encode()


_QUOTES = b'kubestudy_trial_metric{trial="0",metric="' + b'\\"' * (_MIB // 2) + b'"} 1\n'
_NAMES = b"".join(b'kubestudy_trial_metric{trial="%d",metric="m%d"} 1\n' % (i % _TRIALS, i) for i in range(20_000))
_ODD = (
    b'kubestudy_trial_metric{trial="0",metric="y"} ' + b"9" * 100_000 + b"\n"
    b'kubestudy_trial_step{trial="0",metric="y"} +Inf\n'
    b'kubestudy_trial_step{trial="' + b"1" * 5000 + b'",metric="y"} NaN\n'
    b'kubestudy_trial_metric{trial="1",metric="\xff\xfe\x00"} -1e999\n'
    b"{{{{{}\n# TYPE kubestudy_trial_metric \xed\xa0\x80\n"
)  # fmt: skip


async def _whole(writer: Writer, body: bytes) -> None:
    writer.write(body)
    await writer.drain()


async def _drip(writer: Writer) -> None:
    await _whole(writer, _answer(b"", length=10 * _MIB))
    while True:
        await _whole(writer, b"#")
        await asyncio.sleep(0.9)


async def _endless(writer: Writer) -> None:
    await _whole(writer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"#" * 65536
    while True:
        await _whole(writer, b"%x\r\n%s\r\n" % (len(piece), piece))
        await asyncio.sleep(0.01)


async def _headers(writer: Writer) -> None:
    await _whole(writer, b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        await _whole(writer, b"X-%d: %s\r\n" % (number, b"y" * 1000))
        await asyncio.sleep(0.01)


async def _silence(_: Writer) -> None:
    await asyncio.sleep(3600)


async def _bomb(writer: Writer) -> None:
    await _whole(writer, _answer(gzip.compress(b"#" * (100 * _MIB), 1), "Content-Encoding: gzip"))


async def _elsewhere(writer: Writer) -> None:
    await _whole(writer, b"HTTP/1.1 302 Found\r\nLocation: /metrics\r\nContent-Length: 0\r\n\r\n")


WAYS: Mapping[str, Callable[[Writer], Awaitable[None]]] = {
    "steps": lambda w: _whole(w, _answer(_curve())),
    "quotes": lambda w: _whole(w, _answer(_QUOTES)),
    "lines": lambda w: _whole(w, _answer(_curve(lines=600))),
    "names": lambda w: _whole(w, _answer(_NAMES)),
    "odd": lambda w: _whole(w, _answer(_ODD)),
    "drip": _drip,
    "endless": _endless,
    "headers": _headers,
    "silence": _silence,
    "bomb": _bomb,
    "elsewhere": _elsewhere,
}


async def _serve(way: str, port: int) -> asyncio.Server:
    async def handle(reader: asyncio.StreamReader, writer: Writer) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            await WAYS[way](writer)
        writer.close()

    # Simulated pods have addresses of the loopback network, so whoever listens on all of them is every pod.
    return await asyncio.start_server(handle, "0.0.0.0", port, backlog=1000)


# --- the Prometheus --------------------------------------------------------------------------------------------------


def _series(labels: dict[str, str], value: str) -> dict[str, object]:
    return {"metric": labels, "value": [1.0, value]}


def _success(result: object, kind: str = "vector") -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def _broken() -> list[tuple[int, bytes]]:
    """Return what can be taken for no answer."""
    return [
        (200, b"[" * 200_000),
        (200, b"1" * 5000),
        (200, b"<html>" + b"x" * 2 * _MIB),
        (200, b"\xff\xfe"),
        (200, b""),
        (_HANGS, b""),
        (500, b"x" * _MIB),
        (_CUT, b""),
    ]


def _false() -> list[tuple[int, bytes]]:
    """Return what looks like an answer, and is none of this question's."""
    names = ("kubestudy_trial_metric", "kubestudy_trial_step")
    numbers = ({"trial": str(n % _TRIALS), "metric": f"m{n}"} for n in range(100_000))
    many = _success([_series({"__name__": name, **labels}, "1") for labels in numbers for name in names])
    odd = [_series({"__name__": names[1], "trial": trial, "metric": "y"}, step)
           for trial in ("0", "1" * 5000, "²", "-1") for step in ("+Inf", "NaN", "1e400", "word", "")]  # fmt: skip
    odd += [_series({"__name__": names[0], "trial": "0", "metric": "y"}, "1")]
    texts: list[object] = [None, [], 1, "text", {}, {"metric": {}}, {"metric": None, "value": [1, "1"]}, {"value": []}]
    return [
        (200, many),
        (200, _success(odd)),
        *((200, _success([text])) for text in texts),
        *((200, _success(text)) for text in texts),
        (200, b'{"status": "success"}'),
        (200, b'{"status": "success", "data": null}'),
        (400, b'{"status": "error", "error": ' + json.dumps("\x1b[2J\n" * 20_000).encode() + b"}"),
        (422, b'{"status": "error", "error": {"a": 1}}'),
    ]


class Prometheus:
    """Answers instant queries."""

    def __init__(self) -> None:
        self._lying = False
        self._broken, self._false = itertools.cycle(_broken()), itertools.cycle(_false() + _broken())

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/v1/query", self.query), web.get("/api/v1/query", self.query), web.post("/lie", self.lie)]

    async def lie(self, request: web.Request) -> web.Response:
        self._lying = request.query["on"] == "true"
        return web.Response(text="ok")

    async def query(self, request: web.Request) -> web.StreamResponse:
        form = await request.post() if request.method == "POST" else request.query
        expression = str(form.get("query", ""))
        if self._lying or HOSTILE in expression:
            return await self._lie(request, self._false if HOSTILE in expression else self._broken)
        found = [_series({}, repr(value_of(job))) for job in _JOB.findall(expression)[:1]]
        return web.Response(body=_success(found), content_type="application/json")

    async def _lie(self, request: web.Request, lies: Iterator[tuple[int, bytes]]) -> web.StreamResponse:
        status, body = next(lies)
        if status == _HANGS:
            await asyncio.sleep(3600)
        if status == _CUT and request.transport is not None:
            request.transport.abort()
        return web.Response(status=status, body=body, content_type="application/json")


async def _main(prometheus: int, ways: Mapping[str, int]) -> None:
    servers = [await _serve(way, port) for way, port in ways.items()]
    app = web.Application()
    app.add_routes(Prometheus().routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", prometheus).start()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    given = dict(word.split("=") for word in sys.argv[2:])
    asyncio.run(_main(int(sys.argv[1]), {way: int(port) for way, port in given.items()}))
