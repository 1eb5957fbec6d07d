"""How a protected Prometheus is reached: TLS with authorities of one's own, a client certificate, basic authentication.

A real server; only bearer tokens and headers, which Prometheus itself does not check, meet a small stand-in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
import yaml
from aiohttp import web

from kubestudy.metrics.answers import PrometheusError, Series
from kubestudy.metrics.prometheus import expression_of
from kubestudy.metrics.server import Access, PrometheusServer
from support.cluster import processes
from support.cluster.tools import PROMETHEUS
from support.wait import until

pytestmark = pytest.mark.timeout(1800)  # the first time it builds Prometheus

# bcrypt of "s3cret", as the web configuration wants it.
HASH = "$2b$04$CUN12aC/Y9E1VLDkK.Pxce.9v/o3JqSld5pDtu5INWflrDeRmNzDu"


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A server that wants a client certificate and a password."""
    folder = tmp_path_factory.mktemp("protected")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("operator@example.test")
    for name, made in (("server", server), ("client", client)):
        made.private_key_pem.write_to_path(folder / f"{name}.key")
        made.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
    (folder / "password").write_text("s3cret\n")
    tls = {
        "cert_file": "server.crt",
        "key_file": "server.key",
        "client_ca_file": "ca.crt",
        "client_auth_type": "RequireAndVerifyClientCert",
    }
    web_config = {"tls_server_config": tls, "basic_auth_users": {"operator": HASH}}
    (folder / "web.yml").write_text(yaml.safe_dump(web_config))
    (folder / "prometheus.yml").write_text("{}")
    port = processes.free_port()
    command = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.config.file=web.yml"]
    processes.start(
        "prometheus", [PROMETHEUS.programs() / "prometheus", *command, f"--web.listen-address=127.0.0.1:{port}"], folder
    )
    found = Access(
        url=f"https://127.0.0.1:{port}",
        username="operator",
        password_file=folder / "password",
        ca_file=folder / "ca.crt",
        cert_file=folder / "client.crt",
        key_file=folder / "client.key",
    )
    until(lambda: number(found) == 3.0, 60, 0.5, "an answer")
    yield found
    processes.end(folder / "prometheus.pid")


def test_prometheus_takes_what_readings_send(access: Access) -> None:
    async def ask(*, gpus: bool) -> list[Series]:
        server = PrometheusServer(access)
        try:
            return await server.query(expression_of("team", "a.b-0123456789-", ("loss", "top.5"), gpus=gpus))
        finally:
            await server.close()

    assert [asyncio.run(ask(gpus=gpus)) for gpus in (False, True)] == [[], []]


def asked(access: Access) -> float:
    async def ask() -> float:
        server = PrometheusServer(access)
        try:
            (series,) = await server.query("vector(1 + 2)")
        finally:
            await server.close()
        return series.value

    return asyncio.run(ask())


def number(access: Access) -> float | None:
    try:
        return asked(access)
    except PrometheusError:
        return None


def test_with_everything_it_answers(access: Access) -> None:
    assert asked(access) == 3.0


def test_a_rotated_password_is_read_anew(access: Access, tmp_path: Path) -> None:
    async def rotate() -> None:
        file = tmp_path / "password"
        file.write_text("old")
        server = PrometheusServer(replace(access, password_file=file))
        try:
            with pytest.raises(PrometheusError, match="401"):
                await server.query("vector(1)")
            file.write_text("s3cret")
            assert len(await server.query("vector(1)")) == 1
        finally:
            await server.close()

    asyncio.run(rotate())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ca_file": None, "cert_file": None, "key_file": None}, "certificate verify failed"),
        ({"cert_file": None, "key_file": None}, "certificate required|Connection|closed|disconnected"),
        ({"username": None}, "HTTP 401"),
    ],
    ids=["authorities", "certificate", "password"],
)
def test_without_one_of_them_the_error_says_what_the_server_says(
    access: Access, change: dict[str, None], words: str
) -> None:
    with pytest.raises(PrometheusError, match=words) as raised:
        asked(replace(access, **change))
    assert access.url in str(raised.value)


def test_tokens_and_headers_are_sent(tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        seen.update(request.headers)
        return web.json_response({"status": "success", "data": {"resultType": "scalar", "result": [0, "3"]}})

    async def ask() -> float:
        app = web.Application()
        app.add_routes([web.post("/tenant/api/v1/query", answer)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        token = tmp_path / "token"
        token.write_text("abc\n")
        url = f"http://127.0.0.1:{port}/tenant/"
        server = PrometheusServer(Access(url=url, token_file=token, headers={"X-Scope-OrgID": "team"}))
        try:
            (series,) = await server.query("3")
        finally:
            await server.close()
            await runner.cleanup()
        return series.value

    assert asyncio.run(ask()) == 3.0
    assert seen["Authorization"] == "Bearer abc"
    assert seen["X-Scope-OrgID"] == "team"
