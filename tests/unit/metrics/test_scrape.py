"""Trials scraped over HTTP, by real servers on loopback, most of which mean no good."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import math
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubestudy.api.limits import SCRAPE_BYTES, SCRAPE_LINE, SCRAPE_METRICS
from kubestudy.metrics.scrape import ScrapedMetrics, Scraper, lines_of, samples_in
from kubestudy.study.trial import Observed, Sample, TrialPhase

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
LABELS = 'study="s",trial="3",metric="loss"'
GOOD = f"kubestudy_trial_metric{{{LABELS}}} 0.5\nkubestudy_trial_step{{{LABELS}}} 7\n"
SEEN = {3: [Sample("loss", 7, 0.5)]}


async def send(writer: asyncio.StreamWriter, body: bytes, headers: str = "") -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}\r\n".encode() + body)
    await writer.drain()


@contextlib.asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """Serve with a function that gets the stream to write to; yields the URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    finally:
        server.close()


def trial(url: str, number: int = 3) -> Observed:
    return Observed(number, TrialPhase.RUNNING, 0.0, metrics_url=url)


def read(answer: Answer, timeout: float = 5.0) -> tuple[dict[int, list[Sample]], ScrapedMetrics]:
    """Read one trial, once; nothing here may take as long as the timeout, or raise."""

    async def play() -> tuple[dict[int, list[Sample]], ScrapedMetrics]:
        scraper = Scraper(timeout)
        try:
            async with asyncio.timeout(60), serving(answer) as url:
                metrics = ScrapedMetrics(scraper)
                found = await metrics.read([trial(url)])
                return {number: list(samples) for number, samples in found.items()}, metrics
        finally:
            await scraper.close()

    return asyncio.run(play())


def test_a_trial_is_read() -> None:
    found, metrics = read(lambda writer: send(writer, GOOD.encode()))
    assert found == SEEN
    assert metrics.trouble() is None


def test_an_answer_in_pieces_of_a_byte_is_read_whole() -> None:
    async def chunks(writer: asyncio.StreamWriter) -> None:
        body = b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD.encode()) + b"0\r\n\r\n"
        await send(writer, body, "Transfer-Encoding: chunked\r\n")

    assert read(chunks)[0] == SEEN


QUOTES = '\\"'


@pytest.mark.parametrize(
    "body",
    [
        GOOD + f'kubestudy_trial_metric{{metric="{QUOTES * 500_000}"}} 1\n',
        GOOD + f'kubestudy_trial_metric{{metric="{QUOTES * 400}"}} 1\n' * 1300,
        GOOD + 'python_info{version="3"} 1\n' * 40_000,
        GOOD + "\n" * 1_000_000,
    ],
    ids=["one-line", "many-lines", "other-metrics", "empty-lines"],
)
def test_a_megabyte_holds_the_event_loop_up_for_no_time(body: str) -> None:
    """The parser needs 7 s for a megabyte of escaped quotes; nobody else's turn waits for it."""
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            began = time.thread_time()  # of this thread alone, however busy the machine is
            await asyncio.sleep(0.005)
            worst = max(worst, time.thread_time() - began)

    async def play() -> ScrapedMetrics:
        async with serving(lambda writer: send(writer, body.encode())) as url:
            scraper = Scraper(30.0)
            metrics = ScrapedMetrics(scraper)
            watching = asyncio.create_task(watch())
            for _ in range(3):
                await metrics.read([trial(url)])
            watching.cancel()
            await scraper.close()
        return metrics

    trouble = asyncio.run(play()).trouble()
    assert worst < 0.3
    assert trouble is not None
    assert "trial 3 is longer than 64 kB" in trouble.message


def test_of_an_answer_without_end_the_beginning_counts_and_the_rest_is_not_taken() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await send(writer, GOOD.encode())
        while True:
            writer.write(b"# " + b"x" * 65_534)
            await writer.drain()
            sent += 65_536

    found, metrics = read(endless, timeout=30.0)
    assert found == SEEN
    assert metrics.trouble() is not None
    assert sent < 64 * 2**20  # what the kernel takes between the two


@pytest.mark.parametrize("where", ["headers", "body", "nothing"])
def test_the_deadline_is_the_whole_requests_however_regularly_a_byte_comes(where: str) -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        if where == "body":
            await send(writer, b"")
        elif where == "headers":
            writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            if where != "nothing":
                writer.write(b"a")
                await writer.drain()
            await asyncio.sleep(0.09)

    found, metrics = read(trickle, timeout=0.1)
    assert found == {}
    assert metrics.trouble() is None


@pytest.mark.parametrize(
    "headers",
    ["X: " + "a" * 100_000 + "\r\n", "A: b\r\n" * 10_000, "Content-Length: nan\r\n", "Transfer-Encoding: what\r\n"],
    ids=["long", "many", "length", "encoding"],
)
def test_headers_that_are_none_are_no_answer(headers: str) -> None:
    assert read(lambda writer: send(writer, GOOD.encode(), headers))[0] in ({}, SEEN)


def test_what_was_packed_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\n" * 50_000_000)
    found, _ = read(lambda writer: send(writer, bomb, "Content-Encoding: gzip\r\n"))
    assert found == {}


@pytest.mark.parametrize("status", ["302 Found", "301 Moved", "307 Temporary Redirect", "404 Not Found"])
def test_redirects_are_not_followed(status: str) -> None:
    asked = 0

    async def other(writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await send(writer, GOOD.encode())

    async def play() -> None:
        async with serving(other) as target:

            async def redirect(writer: asyncio.StreamWriter) -> None:
                writer.write(f"HTTP/1.1 {status}\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())

            async with serving(redirect) as url:
                scraper = Scraper()
                assert await ScrapedMetrics(scraper).read([trial(url)]) == {}
                await scraper.close()

    asyncio.run(play())
    assert asked == 0


@pytest.mark.parametrize(
    "url",
    ["http://localhost:{}/metrics", "http://me:pw@127.0.0.1:{}/metrics", "https://127.0.0.1:{}/metrics",
     "file:///etc/passwd", "http://[::1/metrics", "http://127.0.0.1:99999/metrics", "", "http://127.1:{}/"],
)  # fmt: skip
def test_only_addresses_in_numbers_are_asked(url: str) -> None:
    asked = 0

    async def count(writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1

    async def play() -> None:
        async with serving(count) as there:
            scraper = Scraper()
            port = there.split(":")[2].split("/")[0]
            assert await ScrapedMetrics(scraper).read([trial(url.format(port))]) == {}
            await scraper.close()

    asyncio.run(play())
    assert asked == 0


@pytest.mark.parametrize(("of_a_study", "in_all", "most"), [(2, 10, 6), (8, 3, 3)])
def test_so_many_trials_of_a_study_and_in_all_are_asked_at_once(of_a_study: int, in_all: int, most: int) -> None:
    now = top = 0

    async def slow(writer: asyncio.StreamWriter) -> None:
        nonlocal now, top
        now += 1
        top = max(top, now)
        await asyncio.sleep(0.02)
        now -= 1
        await send(writer, GOOD.encode())

    async def play() -> None:
        scraper = Scraper(30.0, at_once=in_all)
        async with serving(slow) as url:
            studies = [ScrapedMetrics(scraper, at_once=of_a_study) for _ in range(3)]
            found = await asyncio.gather(*(study.read([trial(url)] * 6) for study in studies))
        assert found == [SEEN] * 3
        await scraper.close()

    asyncio.run(play())
    assert top == most


CODE = """
import asyncio, socket
from kubestudy.metrics.scrape import ScrapedMetrics, Scraper
from kubestudy.study.trial import Observed, TrialPhase

async def main():
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/metrics"
    scraper = Scraper(timeout=3600)
    trial = Observed(3, TrialPhase.RUNNING, 0.0, metrics_url=url)
    reading = asyncio.ensure_future(ScrapedMetrics(scraper).read([trial]))
    await asyncio.sleep(0.1)
    reading.cancel()
    await scraper.close()
    silent.close()

asyncio.run(main())
"""


def test_a_process_ends_though_a_trial_does_not_answer() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", CODE], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("value", "step"),
    [
        ("7", 7), ("7.9", 7), ("0", 0), ("2147483647", 2147483647), ("+Inf", None), ("-Inf", None), ("NaN", None),
        ("1e400", None), ("1e300", None), ("2147483648", None), ("-1", None), ("-1e300", None),
    ],
)  # fmt: skip
def test_a_step_that_no_storage_keeps_is_no_step(value: str, step: int | None) -> None:
    other = GOOD.replace("loss", "other")
    text = f"{other}kubestudy_trial_metric{{{LABELS}}} 0.5\nkubestudy_trial_step{{{LABELS}}} {value}\n"
    expected = [Sample("other", 7, 0.5), *([] if step is None else [Sample("loss", step, 0.5)])]
    assert samples_in(text, 3) == expected


def test_values_are_taken_as_they_are() -> None:
    text = GOOD.replace("0.5", "+Inf") + GOOD.replace("loss", "b").replace("0.5", "NaN")
    first, second = samples_in(text, 3)
    assert first.value == math.inf
    assert math.isnan(second.value)


def test_lines_are_counted_and_measured_before_they_are_parsed() -> None:
    long = f'kubestudy_trial_metric{{metric="{"x" * SCRAPE_LINE.value}"}} 1\n'
    assert lines_of(long + GOOD + "kubestudy_trial_metrics{} 1\nprocess_start 3\n# TYPE x y\n") == GOOD
    many = "".join(GOOD.replace("loss", f"m{n}") for n in range(SCRAPE_METRICS.value + 50))
    assert len(samples_in(many, 3)) == SCRAPE_METRICS.value
    assert len(many) < SCRAPE_BYTES.value


PIECES = st.sampled_from(
    ["kubestudy_trial_metric", "kubestudy_trial_step", "{", "}", '"', "\\", "\\n", ",", "=", " ", "\n", "\t", "trial",
     "metric", '"3"', '"loss"', "1", "-", "NaN", "+Inf", "1e999", "#", "# TYPE ", "\x00", "é", "\udcff", "1_0", "0x1"]
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join))


@settings(deadline=None, max_examples=400)
@given(TEXTS, st.integers(0, len(GOOD)), st.text(max_size=3))
def test_no_text_raises(text: str, at: int, added: str) -> None:
    for made in (text, GOOD + text, GOOD[:at] + added + GOOD[at + 1 :], GOOD[:at] + text + GOOD[at:]):
        for sample in samples_in(made, 3):
            assert 0 <= sample.step < 2**31
