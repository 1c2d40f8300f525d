"""An organisation of Salesforce: a token endpoint, and an instance that can move to another host.

Sources: as for `rx_cometd.testing.salesforce`, and Salesforce's help on the OAuth 2.0 flows.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web

from rx_cometd.testing.replay import ReplayLog
from rx_cometd.testing.salesforce import SalesforceAuthentication
from rx_cometd.testing.server import BayeuxServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["SERVER_TOO_BUSY", "SalesforceOrg"]

#: How a subscription is refused in busy hours.
SERVER_TOO_BUSY: Final = "503::Server is too busy. Please try your request again later."


class SalesforceOrg:
    """Salesforce as a client sees it: log in at one host, stream from another.

    Example::

        async with SalesforceOrg() as org:
            auth = salesforce_auth(org.login_url, "key", client_secret="secret")
            async with Client(**salesforce(org.login_url, auth)) as client:
                ...
                await org.move()

    Args:
        accepts: Told the form fields of each login, says whether it is good; by default the
            client credentials ``key`` and ``secret`` are.
        timeout: Seconds that a connect is held.
        login_delay: Seconds that a login takes.

    Attributes:
        log: The events, which are kept over moves.
        logins: How many logins there were, good ones.
        server: The present instance, with its `faults`.
    """

    def __init__(
        self,
        accepts: Callable[[dict[str, str]], bool] | None = None,
        *,
        timeout: float = 110.0,
        login_delay: float = 0.0,
    ) -> None:
        self._accepts = _accepts_key_and_secret if accepts is None else accepts
        self._timeout = timeout
        self._login_delay = login_delay
        self.log = ReplayLog()
        self.logins = 0
        self._policy = SalesforceAuthentication()
        self.server = self._instance()
        self._left: list[BayeuxServer] = []
        self._runner: web.AppRunner | None = None

    def __repr__(self) -> str:
        return f"<SalesforceOrg at {self.server!r}, {self.logins} logins>"

    async def __aenter__(self) -> Self:
        await self.server.start()
        app = web.Application()
        app.router.add_post("/services/oauth2/token", self._log_in)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for server in (self.server, *self._left):
            await server.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def login_url(self) -> str:
        """Where to log in.

        Raises:
            RuntimeError: It is not running.
        """
        if self._runner is None:
            raise RuntimeError("the organisation is not running: use it with 'async with'")
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @property
    def instance_url(self) -> str:
        """The host of the present instance."""
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def good_tokens(self) -> frozenset[str]:
        """The tokens that the present instance accepts."""
        return self._policy.tokens.good

    async def publish(self, channel: str, payload: dict[str, Any]) -> int:
        """Publish a platform event; returns how many sessions it went to."""
        return await self.server.publish(channel, {"payload": payload})

    def revoke(self) -> None:
        """Revoke all tokens, as when they expire; held connects are cut."""
        self._policy.tokens.expire()
        self.server.faults.drop_link()

    async def move(self) -> None:
        """Move to another host, with the events, without the sessions and the tokens.

        The old host still answers, but refuses the tokens that it knew.
        """
        server, policy = self.server, self._policy
        self._policy = SalesforceAuthentication()
        moved = self._instance()
        await moved.start()
        self.server = moved
        policy.tokens.expire()
        server.faults.drop_link()
        server.faults.forget()
        self._left.append(server)

    def busy(self, channel: str, count: int = 1) -> None:
        """Refuse subscriptions to a channel with ``503::Server is too busy``."""
        self.server.faults.refuse_subscribe(channel, SERVER_TOO_BUSY, count=count)

    def _instance(self) -> BayeuxServer:
        return BayeuxServer(
            salesforce=True,
            path="/cometd",
            replay=self.log,
            authentication=self._policy,
            timeout=self._timeout,
        )

    async def _log_in(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        await asyncio.sleep(self._login_delay)
        if not self._accepts(fields):
            refusal = {"error": "invalid_client", "error_description": "invalid client credentials"}
            return web.json_response(refusal, status=400)
        self.logins += 1
        token = secrets.token_hex(16)
        self._policy.tokens.grant(token)
        return web.json_response(
            {
                "access_token": token,
                "instance_url": self.instance_url,
                "token_type": "Bearer",
            }
        )


def _accepts_key_and_secret(fields: dict[str, str]) -> bool:
    expected = {"grant_type": "client_credentials", "client_id": "key", "client_secret": "secret"}
    return fields == expected
