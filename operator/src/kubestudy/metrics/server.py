"""A Prometheus server, or what answers like one (Thanos, Mimir, VictoriaMetrics): instant queries.

Source: Prometheus HTTP API, /api/v1/query. Credentials are read from their files for each query: they are rotated.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp

from kubestudy.api.limits import ANSWER_BYTES, QUERIES, QUERY_SECONDS
from kubestudy.metrics.answers import AnswerTooLongError, PrometheusError, Series, answered, series_in

_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Access:
    """How a server is reached.

    Attributes:
        url: Its URL, with whatever path stands before /api/v1; a user and a password in it are sent, and shown nowhere.
        token_file: A file that holds a bearer token.
        username: For basic authentication.
        password_file: A file that holds the password.
        ca_file: A file of authorities instead of the system's.
        cert_file: A file that holds a client certificate.
        key_file: A file that holds its key.
        headers: More headers, for instance X-Scope-OrgID.
        namespace_parameter: The URL's parameter that takes the namespace a query is about, where a proxy keeps tenants
            apart by it (prom-label-proxy).
    """

    url: str = field(repr=False)
    token_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    namespace_parameter: str | None = None


def without_credentials(url: str) -> tuple[str, str | None, str]:
    """Return a URL without the user and password in it, that user, and that password.

    Whatever says where a server is says the first; the others are sent as a header, and shown nowhere.
    """
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    bare = urlunsplit(parts._replace(netloc=host))
    return (bare, unquote(user), unquote(password)) if at else (url, None, "")


def is_address(url: str) -> bool:
    """Tell whether a URL names a server: a host, a port that is one, and nothing behind the path.

    A password with characters that end the host's part, such as /, would be taken for a path, and shown.
    """
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment or "@" in parts.path)
    except ValueError:
        return False


class PrometheusServer:
    """Asks a server. Close it after use.

    Args:
        access: How it is reached.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._url, self._user, self._password = without_credentials(access.url)
        self._session: aiohttp.ClientSession | None = None
        self._files: tuple[float, ...] = ()

    @property
    def url(self) -> str:
        """Its URL, without credentials."""
        return self._url

    async def close(self) -> None:
        """Close its connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def query(
        self,
        expression: str,
        at: float | None = None,
        timeout: float = QUERY_SECONDS.value,
        limit: int | None = None,
        namespace: str | None = None,
    ) -> list[Series]:
        """Evaluate an expression.

        Args:
            expression: PromQL, an instant vector or a scalar.
            at: Unix time; now if left out.
            timeout: Seconds to wait.
            limit: The most series that are of use. A server that knows the parameter sends no more, one that does not
                sends them all: the answer's length is bounded either way.
            namespace: Whose question it is, for a proxy that keeps tenants apart.

        Raises:
            PrometheusError: The server does not answer, answers too much, or refuses the expression.
        """
        form = {"query": expression, "timeout": f"{timeout:g}s"}
        if at is not None:
            form["time"] = f"{at:.3f}"
        if limit is not None:
            form["limit"] = str(limit)
        parameter = self._access.namespace_parameter
        asked = {} if parameter is None or namespace is None else {parameter: namespace}
        try:
            found = await self._post("/api/v1/query", form, asked, timeout)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = f"does not answer within {timeout:g} s" if isinstance(error, TimeoutError) else f"{error}"
            raise PrometheusError(f"Prometheus at {self.url}: {what}", passing=True) from error
        except ValueError as error:  # a token or a header that cannot be sent, a file that is no text
            why = f"the request cannot be made: {type(error).__name__}"
            raise PrometheusError(
                f"Prometheus at {self.url}: {why}; look at its token, password and headers", passing=True
            ) from error
        return series_in(found)

    async def _post(self, path: str, form: Mapping[str, str], asked: Mapping[str, str], timeout: float) -> Any:
        session = await self._opened()
        async with session.post(
            self._url.rstrip("/") + path,
            params=asked, data=form, headers=self._headers(), allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout + 1),
        ) as answer:  # fmt: skip
            body = await self._read(answer)
        return answered(answer.status, body, self._url)

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        """Read an answer, as far as its bound.

        Raises:
            AnswerTooLongError: It is longer.
        """
        body = bytearray()
        async for piece in answer.content.iter_chunked(_PIECE):
            body += piece
            if len(body) > ANSWER_BYTES.value:
                # Nothing more is read: the connection ends with the answer that was not taken.
                raise AnswerTooLongError(
                    f"Prometheus at {self._url} answers with more than {ANSWER_BYTES.value // 2**20} MB, which is not"
                    " read: select fewer series, by the metric's name and by labels, and aggregate them (max, avg, sum)"
                )
        return bytes(body)

    async def _opened(self) -> aiohttp.ClientSession:
        access = self._access
        files = tuple(file.stat().st_mtime for file in (access.ca_file, access.cert_file, access.key_file) if file)
        if self._session is None or files != self._files:
            made = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._context(), limit=QUERIES.value),
                cookie_jar=aiohttp.DummyCookieJar(),
                # What is counted is what is read: nothing grows when it is unpacked.
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                auto_decompress=False,
            )
            old, self._session, self._files = self._session, made, files
            if old is not None:
                await old.close()
            return made
        return self._session

    def _headers(self) -> dict[str, str]:
        access, headers = self._access, dict(self._access.headers)
        if access.token_file is not None:
            headers["Authorization"] = f"Bearer {_secret(access.token_file)}"
        elif access.username is not None:
            password = "" if access.password_file is None else _secret(access.password_file)
            headers["Authorization"] = aiohttp.encode_basic_auth(access.username, password)
        elif self._user is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(self._user, self._password)
        return headers

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
