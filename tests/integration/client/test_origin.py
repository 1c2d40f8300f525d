"""An `AuthExtension` that tells where the server is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from yarl import URL

from rx_cometd import AuthExtension
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, client_of

if TYPE_CHECKING:
    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")


class Elsewhere(AuthExtension):
    """Knows a host once it was told."""

    def __init__(self) -> None:
        self.told: URL | None = None

    @property
    def origin(self) -> URL | None:
        return self.told


@BOTH
async def test_the_next_payload_goes_where_it_says(kind: ConnectionType) -> None:
    async with BayeuxServer() as first, BayeuxServer() as second:
        auth = Elsewhere()
        async with client_of(f"{first.url}?a=1", kind, auth=auth) as client:
            assert list(first.sessions) == [client.client_id]
            await client.subscribe("/news")
            auth.told = URL(second.url).origin()
            first.faults.drop_link()
            # Unknown there, so it begins anew, with what it is subscribed to.
            await second.until(lambda: second.subscribers("/news"))
            assert list(second.sessions) == [client.client_id]
