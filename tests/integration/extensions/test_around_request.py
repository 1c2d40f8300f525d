"""Extensions around a publish or a call, in the task of its caller."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest

from rx_cometd import Client, Extension, ServerError
from rx_cometd.testing import BayeuxServer, ServiceRequest
from tests.integration.client_driver import BOTH, Recorder, client_of, subscribed

if TYPE_CHECKING:
    from collections.abc import Generator

    from rx_cometd import ConnectionType
    from rx_cometd.extension import Joined, Request

pytestmark = pytest.mark.usefixtures("nothing_left")

desk: ContextVar[str] = ContextVar("desk")


class Around(Extension):
    """Notes the requests, and within which other it was when fields were added."""

    def __init__(self) -> None:
        self.joined: list[Joined] = []
        self.notes: list[str] = []

    def join(self, client: Joined) -> None:
        self.joined.append(client)

    @contextmanager
    def around_request(self, request: Request) -> Generator[None]:
        self.notes.append(f"{request.kind} {request.channel}")
        token = desk.set("7")
        try:
            yield
        except ServerError as error:
            self.notes.append(f"failed {error.error_code}")
            raise
        finally:
            desk.reset(token)


class Filling(Extension):
    def fill_request(self, request: Request) -> None:
        request.fields["ext"] = {**request.fields.get("ext", {}), "desk": desk.get()}


@BOTH
async def test_requests_are_accompanied_in_the_task_of_the_caller(kind: ConnectionType) -> None:
    around = Around()
    # Fields are added within all contexts, wherever each extension stands in the list.
    extensions = [Filling(), around]
    async with BayeuxServer() as server, client_of(server, kind, extensions=extensions) as client:

        @server.service("/service/echo")
        async def echo(request: ServiceRequest) -> object:
            return request.data

        assert around.joined == [client]
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        mine = {"ext": {"mine": 1}}
        await client.publish("/a", 1, fields=mine)
        (message,) = await seen.count(1)
        assert message["ext"] == {"mine": 1, "desk": "7"}
        assert mine == {"ext": {"mine": 1}}
        await client.call("/service/echo", 1)
        server.faults.refuse("/b", "403::no")
        with pytest.raises(ServerError):
            await client.publish("/b", 1)
    assert around.notes == ["publish /a", "call /service/echo", "publish /b", "failed 403"]


def test_the_address_is_told_without_what_may_be_secret() -> None:
    client = Client("http://user:secret@127.0.0.1:9/cometd?token=secret#secret")
    assert str(client.url) == "http://127.0.0.1:9/cometd"
