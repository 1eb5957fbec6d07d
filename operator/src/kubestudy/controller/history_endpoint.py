"""A study's history and its living trials, read-only, on a port of their own.

It is reached through the API server's service proxy, so Kubernetes' own RBAC decides who may ask; a path holds the
study's uid, so that only who may read a study can ask about it. A deleted study's history is served as long as it is
kept.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence

from aiohttp import web

from kubestudy.api.contract import history_path, live_path
from kubestudy.controller.log_lines import about
from kubestudy.search.archive import Archive
from kubestudy.study.ports import StudyError
from kubestudy.study.view import LiveTrial, live_as_data

log = logging.getLogger(__name__)

_PLACEHOLDERS = ("{namespace}", "{name}", "{uid}")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_UID = re.compile(r"[0-9a-f-]{36}")

Live = Callable[[str], Sequence[LiveTrial] | None]


def history_routes(archive: Archive, live: Live) -> list[web.RouteDef]:
    """Return the routes.

    Args:
        archive: The storage.
        live: Returns a study's living trials, by uid; None where this operator does not look after it.
    """

    async def history(request: web.Request) -> web.StreamResponse:
        namespace, name, uid = _asked(request)
        try:
            chunks = await asyncio.to_thread(archive.export, namespace, name, uid)
            if chunks is None:
                raise web.HTTPNotFound(text=f"the storage holds nothing of {namespace}/{name} ({uid})\n")
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
            response.enable_compression()
            await response.prepare(request)
            while chunk := await asyncio.to_thread(next, chunks, b""):
                await response.write(chunk)
        except StudyError as error:
            with about(namespace, name):
                log.warning("the history is not served: %s", error)
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from error
        await response.write_eof()
        return response

    async def trials(request: web.Request) -> web.Response:
        namespace, name, uid = _asked(request)
        found = live(uid)
        if found is None:
            raise web.HTTPNotFound(text=f"{namespace}/{name} ({uid}) is not looked after here\n")
        return web.json_response([live_as_data(trial) for trial in found])

    return [web.get(history_path(*_PLACEHOLDERS), history), web.get(live_path(*_PLACEHOLDERS), trials)]


def _asked(request: web.Request) -> tuple[str, str, str]:
    """Return namespace, name and uid: nothing else may become part of a file's name."""
    namespace, name, uid = (request.match_info[key] for key in ("namespace", "name", "uid"))
    if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name) and _UID.fullmatch(uid)):
        raise web.HTTPNotFound(text="no such study\n")
    return namespace, name, uid
