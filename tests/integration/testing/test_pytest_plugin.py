from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from subprocess import CompletedProcess

ROOT = Path(__file__).parents[3]
TEST = """
import aiohttp, pytest

@pytest.mark.bayeux_server(timeout=7.0)
@pytest.mark.asyncio
async def test_it(bayeux_server):
    assert bayeux_server.options.timeout == 7.0
    async with aiohttp.ClientSession() as http:
        handshake = [{"id": "1", "channel": "/meta/handshake"}]
        async with http.post(bayeux_server.url, json=handshake) as response:
            (reply,) = await response.json()
            assert reply["successful"]
            assert list(bayeux_server.sessions) == [reply["clientId"]]
"""
LOOP_SCOPE = ["-o", "asyncio_default_fixture_loop_scope=function"]
PLUGIN = "rx_cometd.testing.pytest_plugin"


def run(directory: Path, *options: str) -> CompletedProcess[str]:
    (directory / "test_it.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider"]
    # An installed rx_cometd brings the plugin by its entry point: one of the two is enough.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [*command, *options, "--strict-markers", "-W", "error", "test_it.py"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_the_fixture_serves(tmp_path: Path, mode: str) -> None:
    ran = run(tmp_path, *LOOP_SCOPE, "-p", "pytest_asyncio.plugin", f"--asyncio-mode={mode}")
    assert "1 passed" in ran.stdout, ran.stdout


def test_without_pytest_asyncio_it_explains(tmp_path: Path) -> None:
    (tmp_path / "pytest_asyncio.py").write_text("raise ImportError")
    markers = "markers=asyncio"
    ran = run(tmp_path, "-o", markers, "-o", "pythonpath=.", "-p", "no:asyncio")
    assert "pip install pytest-asyncio" in ran.stdout, ran.stdout
    assert "1 error" in ran.stdout


def test_the_plugin_imports_neither_server_nor_client() -> None:
    code = f"import sys, {PLUGIN}; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(ran.stdout.split())
    assert PLUGIN in imported
    assert not imported & {"rx_cometd.testing.server", "rx_cometd.client", "aiohttp", "reactivex"}
