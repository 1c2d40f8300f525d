"""The ready-made extensions against servers that have their other half."""

from __future__ import annotations

import base64
import random
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd.extensions import binary, timesync
from tests.children import child
from tests.conformance.observing import Seen, confirmed, data_of, eventually
from tests.servers import installed, requires

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.conformance.conftest import MakeClient
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server

MEBIBYTE = random.Random(1).randbytes(1024 * 1024)


async def test_binary(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 87: 1 MiB of bytes there and back, through a server that decodes and encodes
    them itself (Java) or hands them on."""
    async with make_client(server, extensions=[binary()]) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await client.publish(channel, MEBIBYTE)
        assert data_of(await seen.count(1)) == [MEBIBYTE]
        for size in range(8):  # every length of the unpadded tail
            await client.publish(channel, MEBIBYTE[:size])
        assert data_of(await seen.count(9))[1:] == [MEBIBYTE[:size] for size in range(8)]


async def test_binary_chunks(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 87: chunks with something to say of them."""
    chunk = {"data": b"\x00\xff" * 5, "last": False, "meta": {"name": "a.bin"}}
    async with make_client(server, extensions=[binary()]) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await client.publish(channel, chunk)
        await client.publish(channel, "no bytes")
        assert data_of(await seen.count(2)) == [chunk, "no bytes"]


@pytest.mark.needs("binary")
async def test_binary_from_server(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 87: 1 MiB that the server itself publishes."""
    async with make_client(server, extensions=[binary()]) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        content = base64.b64encode(MEBIBYTE).decode()
        await server.control("publish", channel=channel, binary=content)
        assert data_of(await seen.count(1)) == [MEBIBYTE]


@pytest.mark.needs("timesync")
async def test_timesync(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 87: on one machine the clocks agree, and messages hardly travel."""
    clock = timesync()
    async with make_client(server, extensions=[clock]) as client:
        await client.subscribe(channel)
        await client.unsubscribe(channel)
        # Both are exactly 0 while unknown; once known, they may be less than half a millisecond.
        assert (clock.offset, clock.lag) != (0, 0)
        # After a stall, of either process, they are more until there are new measurements.
        await eventually(lambda: abs(clock.offset) < 0.25 and 0 <= clock.lag < 0.25, 60.0)


@requires("clients")
async def test_binary_with_reference_client(
    target: Target, server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 87: 1 MiB to the npm client, and what it makes of that back."""
    there, back = f"{channel}/there", f"{channel}/back"
    chunk = {"data": MEBIBYTE[:1001], "last": False, "meta": {"name": "a.bin"}}
    arguments = (server.url, target.connection_type.value, there, back)
    async with reference_client(*arguments), make_client(server, extensions=[binary()]) as client:
        seen: Seen[Any] = Seen(client.channel(back))
        await confirmed(client, back)
        await client.publish(there, MEBIBYTE)
        await client.publish(there, chunk)
        assert data_of(await seen.count(2)) == [MEBIBYTE, chunk]


@asynccontextmanager
async def reference_client(*arguments: str) -> AsyncGenerator[None]:
    """Run the npm client until the end of the block."""
    script = Path(__file__).with_name("reference_client.mjs").read_text()
    async with child(
        *("node", "--input-type=module", "--eval", script, "--", *arguments),
        cwd=installed("clients"),
        stdin=PIPE,
        stdout=PIPE,
    ) as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield
        await process.communicate(b"")
