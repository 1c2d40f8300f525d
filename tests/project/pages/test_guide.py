"""The fragments of the guide."""

from __future__ import annotations

import ssl
import threading
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pytest
import reactivex as rx
import trustme
from reactivex import operators as ops

from rx_cometd import Client, ServerError, TransportError
from rx_cometd import operators as cometd_ops
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import Recorder, client_of
from tests.project.pages.fragment import fragments_of, run
from tests.project.pages.printed import Printed
from tests.project.pages.site import site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.project.docs import Block

pytestmark = pytest.mark.usefixtures("nothing_left")


@fragments_of("guide.md", "Staying on the loop")
async def test_time_operators_stay_on_the_loop(blocks: list[Block]) -> None:
    shown = Printed()

    def show(message: Any) -> None:
        shown(message["data"], threading.current_thread() is threading.main_thread())

    names: dict[str, Any] = {"rx": rx, "ops": ops, "cometd_ops": cometd_ops, "show": show}
    names["key"] = itemgetter("channel")
    async with BayeuxServer() as server, Client(server.url) as client:
        names["sport"], names["weather"] = client.channel("/sport"), client.channel("/weather")
        names["channel"] = client.channel("/stock/*")
        await run(blocks[0], names, replace={"debounce(1)": "debounce(0.05)"})
        await server.until(lambda: all(map(server.subscribers, ("/weather", "/stock/a"))))
        await server.publish("/sport", "2:1")
        await server.publish("/weather", "rain")
        assert await shown.next() == ("rain", True)
        for stock, price in (("a", 1), ("b", 2), ("a", 3)):
            await server.publish(f"/stock/{stock}", price)
        assert {await shown.next(), await shown.next()} == {(2, True), (3, True)}


@fragments_of("guide.md", "Errors")
async def test_an_order_survives_the_network_and_no_refusal(blocks: list[Block]) -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, connection_timeout=2.0) as client,
    ):
        names: dict[str, Any] = {
            "client": client,
            "cometd_ops": cometd_ops,
            "TransportError": TransportError,
        }
        await run(blocks[0], names)
        recorder = Recorder(names["orders"])
        await server.until(lambda: server.subscribers("/orders"))
        plain = Recorder(client.channel("/orders"))
        await server.stop()
        await plain.until(lambda: plain.error is not None)
        assert isinstance(plain.error, TransportError)
        assert recorder.error is None
        await server.start()
        await server.until(lambda: server.subscribers("/orders"))
        await server.publish("/orders", 1)
        await recorder.until(lambda: bool(recorder.items))
        server.faults.refuse_subscribe("/orders", "403::not for you")
        server.faults.forget()
        server.faults.drop_link()
        await recorder.until(lambda: recorder.error is not None)
        assert isinstance(recorder.error, ServerError)


@fragments_of("guide.md", "Reconnecting")
async def test_a_client_comes_back_whatever_the_advice(blocks: list[Block]) -> None:
    async with BayeuxServer() as server:
        names = await run(blocks[0], {"url": server.url, "Client": Client})
        async with names["client"] as client, Client(server.url) as other:
            back, away = Recorder(client.channel("/a")), Recorder(other.channel("/a"))
            await server.until(lambda: len(server.subscribers("/a")) == 2)
            for session in server.subscribers("/a"):
                await server.disconnect(session.client_id)
            await away.until(lambda: away.error is not None)
            assert isinstance(away.error, ServerError)
            await server.until(lambda: server.subscribers("/a"))
            await server.publish("/a", 1)
            await back.until(lambda: bool(back.items))


@fragments_of("guide.md", "Addresses, redirects and TLS")
async def test_certificates_of_ones_own(
    blocks: list[Block], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "our-authority.pem"))
    mine = authority.issue_cert("me@example.com")
    mine.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("localhost").configure_cert(context)
    monkeypatch.chdir(tmp_path)
    async with BayeuxServer() as server, site(server, context=context) as origin:
        url = str(origin / "cometd")
        names = await run(
            blocks[0], {"Client": Client}, replace={"https://example.com/cometd": url}
        )
        async with names["client"] as client:
            assert (await client.publish("/a", 1)).get("successful")
        with pytest.raises(TransportError, match="is not accepted"):
            await Client(url).open()


@fragments_of("guide.md", "Beyond defaults")
async def test_another_json(blocks: list[Block]) -> None:
    async with BayeuxServer() as server:
        names = await run(blocks[0], {"url": server.url, "Client": Client})
        async with names["client"] as client:
            recorder = Recorder(client.channel("/a"))
            # Which orjson knows, and the json of the standard library does not.
            await client.publish("/a", datetime(2026, 1, 2, 3, 4))  # noqa: DTZ001
            await recorder.until(lambda: bool(recorder.items))
            assert recorder.items[0]["data"] == "2026-01-02T03:04:00"
