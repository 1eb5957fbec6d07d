"""A Prometheus server, or what answers like one (Thanos, Mimir, VictoriaMetrics): instant queries.

Source: Prometheus HTTP API, /api/v1/query. Credentials are read from their files for each query: they are rotated.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

QUERY_SECONDS = 10.0
_ANSWER_LENGTH = 500
# What Prometheus answers to a question that is wrong; anything else is about the way to it, and may be mended.
_REFUSALS = frozenset({400, 422})


class PrometheusError(Exception):
    """A query was not answered; the sentence says why.

    Attributes:
        passing: Whether asking again may help.
    """

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Access:
    """How a server is reached.

    Attributes:
        url: Its URL, with whatever path stands before /api/v1.
        token_file: A file that holds a bearer token.
        username: For basic authentication.
        password_file: A file that holds the password.
        ca_file: A file of authorities instead of the system's.
        cert_file: A file that holds a client certificate.
        key_file: A file that holds its key.
        headers: More headers, for instance X-Scope-OrgID.
    """

    url: str
    token_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """One element of an instant vector; a scalar has no labels."""

    labels: Mapping[str, str]
    value: float


class PrometheusServer:
    """Asks a server. Close it after use.

    Args:
        access: How it is reached.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._session: aiohttp.ClientSession | None = None
        self._files: tuple[float, ...] = ()

    @property
    def url(self) -> str:
        """Its URL."""
        return self._access.url

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    async def query(self, expression: str, at: float | None = None, timeout: float = QUERY_SECONDS) -> list[Series]:
        """Evaluate an expression.

        Args:
            expression: PromQL, an instant vector or a scalar.
            at: Unix time; now if left out.
            timeout: Seconds to wait.

        Raises:
            PrometheusError: The server does not answer, or refuses the expression.
        """
        form = {"query": expression, "timeout": f"{timeout:g}s", **({} if at is None else {"time": f"{at:.3f}"})}
        try:
            found = await self._post("/api/v1/query", form, timeout)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = f"does not answer within {timeout:g} s" if isinstance(error, TimeoutError) else f"{error}"
            raise PrometheusError(f"Prometheus at {self.url}: {what}", passing=True) from error
        return series_in(found)

    async def _post(self, path: str, form: Mapping[str, str], timeout: float) -> Any:
        access = self._access
        files = tuple(file.stat().st_mtime for file in (access.ca_file, access.cert_file, access.key_file) if file)
        if self._session is None or files != self._files:
            await self.close()
            self._files = files
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._context()))
        headers = dict(access.headers)
        if access.token_file is not None:
            headers["Authorization"] = f"Bearer {_secret(access.token_file)}"
        elif access.username is not None:
            password = "" if access.password_file is None else _secret(access.password_file)
            headers["Authorization"] = aiohttp.encode_basic_auth(access.username, password)
        async with self._session.post(
            access.url.rstrip("/") + path,
            data=form, headers=headers, timeout=aiohttp.ClientTimeout(total=timeout + 1),
        ) as answer:  # fmt: skip
            text = await answer.text()
        return answered(answer.status, text, self.url)

    def _context(self) -> ssl.SSLContext | bool:
        access = self._access
        if access.ca_file is None and access.cert_file is None:
            return True
        context = ssl.create_default_context(cafile=None if access.ca_file is None else str(access.ca_file))
        if access.cert_file is not None:
            context.load_cert_chain(access.cert_file, access.key_file)
        return context


def _secret(file: Path) -> str:
    return file.read_text().strip()


def answered(status: int, text: str, url: str) -> Any:
    """Return what a server's answer holds.

    Args:
        status: HTTP's.
        text: The body.
        url: What errors call the server.

    Raises:
        PrometheusError: It holds no answer to the question.
    """
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    if status == HTTPStatus.OK and isinstance(said, dict) and said.get("status") == "success":
        return said["data"]
    why = said.get("error") if isinstance(said, dict) else None
    message = str(why or text.strip() or "nothing more")[:_ANSWER_LENGTH]
    refused = status in _REFUSALS and why is not None
    raise PrometheusError(f"Prometheus at {url} says (HTTP {status}): {message}", passing=not refused)


def series_in(data: Any) -> list[Series]:
    """Return an answer's numbers.

    Raises:
        PrometheusError: It holds something else.
    """
    match data:
        case {"resultType": "vector", "result": list(found)} if all("value" in one for one in found):
            return [Series(one["metric"], float(one["value"][1])) for one in found]
        case {"resultType": "scalar", "result": [_, value]}:
            return [Series({}, float(value))]
    kind = data.get("resultType") if isinstance(data, dict) else None
    kind = "vector of histograms" if kind == "vector" else kind
    raise PrometheusError(
        f"the expression gives a {kind or 'value'} where one number is needed: an instant vector or a scalar",
        passing=False,
    )
