"""The dashboard in examples/ asks for the metrics that there are, and for all of them."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.children import child
from tests.integration.stores.servers import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ROOT = Path(__file__).parents[2]
HERE = ROOT / "examples" / "observability"
DOCS = ROOT / "docs" / "observability.md"

#: Where .ci/install-prometheus.sh unpacks it.
UNPACKED = Path.home() / ".cache" / "rx_cometd" / "prometheus" / "usr" / "bin" / "prometheus"
PROMETHEUS = shutil.which("prometheus") or (str(UNPACKED) if UNPACKED.exists() else None)

#: What Prometheus adds to the name of a metric.
SUFFIXES = re.compile(r"(_seconds(_bucket|_sum|_count)?|_total)?$")


def queries() -> list[str]:
    dashboard: dict[str, Any] = json.loads((HERE / "dashboard.json").read_text(encoding="utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def names(text: str) -> set[str]:
    return set(re.findall(r"\b((?:messaging|cometd)_[a-z_]+)[{\[]", text))


@asynccontextmanager
async def program(*arguments: str) -> AsyncGenerator[str]:
    """Run the example, and give the address of its metrics."""
    async with child(
        *(sys.executable, str(HERE / "metrics.py"), *arguments),
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()


async def scrape(url: str, wanted: set[str]) -> set[str]:
    """Ask for the metrics until all that are wanted are there, for a while."""
    found: set[str] = set()
    async with aiohttp.ClientSession() as http, asyncio.timeout(90):
        while not wanted <= found:
            async with http.get(url) as response:
                found = names(await response.text())
            await asyncio.sleep(0.2)
    return found


async def test_the_dashboard_asks_for_what_there_is_and_for_all_of_it() -> None:
    wanted = names(" ".join(queries()))
    async with program("--port", "0") as url:
        found = await scrape(url, wanted)
    assert {SUFFIXES.sub("", name) for name in wanted} == {SUFFIXES.sub("", n) for n in found}
    table = DOCS.read_text(encoding="utf-8").partition("| metric |")[2].partition("\n\n")[0]
    told = set(re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE))
    assert {name.replace(".", "_") for name in told} == {SUFFIXES.sub("", name) for name in found}


@asynccontextmanager
async def prometheus(scraped: str, directory: Path) -> AsyncGenerator[str]:
    """Run a Prometheus that scrapes an address every second."""
    configuration = directory / "prometheus.yml"
    configuration.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: it, static_configs: [{{targets: ['{scraped}']}}]}}]\n"
    )
    port = free_port()
    async with child(
        PROMETHEUS or "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stderr=subprocess.DEVNULL,
    ):
        yield f"http://127.0.0.1:{port}"


async def has_answer(http: aiohttp.ClientSession, server: str, query: str) -> bool:
    """Tell whether Prometheus has something to show for a query."""
    query = query.replace("$__rate_interval", "10s").replace("$server", ".*")
    try:
        async with http.get(f"{server}/api/v1/query", params={"query": query}) as response:
            if response.status == 503:
                return False  # it listens, and is still starting
            told = await response.json()
    except aiohttp.ClientConnectionError:
        return False  # it does not listen yet
    assert told.get("status") == "success", told
    return bool(told["data"]["result"])


@pytest.mark.skipif(PROMETHEUS is None, reason="run .ci/install-prometheus.sh")
@pytest.mark.timeout(240)
async def test_each_query_has_an_answer_in_a_real_prometheus(tmp_path: Path) -> None:
    async with (
        program("--port", "0") as url,
        prometheus(url.removeprefix("http://").removesuffix("/metrics"), tmp_path) as server,
        aiohttp.ClientSession() as http,
        asyncio.timeout(180),
    ):
        left = set(queries())
        while left:
            await asyncio.sleep(0.3)
            left = {query for query in left if not await has_answer(http, server, query)}
