"""The long-polling transport: one HTTP POST per payload, the replies in its response."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Final

import aiohttp
from multidict import CIMultiDict

from rx_cometd._transports.base import (
    CONTENT_TYPE,
    LEAST_PROGRESS,
    Received,
    TransportOptions,
    check_credentials,
)
from rx_cometd._transports.departing import unsent
from rx_cometd._transports.errors import (
    NETWORK_ERRORS,
    is_no_http,
    raise_transport_error,
    shown,
    status_error,
)
from rx_cometd._transports.meter import Beginning
from rx_cometd._transports.redirects import MOST_REDIRECTS, redirect_target
from rx_cometd._transports.timeout import Timeout, timeout_after
from rx_cometd.exceptions import ProtocolError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import AbstractStreamWriter
    from yarl import URL

__all__ = ["LongPollingTransport"]


class LongPollingTransport:
    """Posts payloads over HTTP.

    Args:
        http: The session with the cookies and the connections.
        options: Address, TLS, limits.
    """

    def __init__(self, http: aiohttp.ClientSession, options: TransportOptions) -> None:
        self._http = http
        self._options = options
        #: Whether there was an HTTP response yet.
        self._speaks_http = False

    async def exchange(
        self, data: str | bytes, headers: Mapping[str, str], timeout: float
    ) -> Received:
        """Send a payload and read the response.

        Only a non-empty 200 is a success (AbstractHttpClientTransport.java, ``processResponse``).
        The content type is not looked at: ``text/json`` and worse are in use. A redirect within
        the origin is followed with the same POST, whatever its status says of GET.

        Args:
            data: The payload.
            headers: Headers of the request.
            timeout: Seconds until the response must begin, and then until more of it must have
                come: a large one takes its time. So does a large payload; it may take longer, as
                long as more of it leaves within each such time.

        Raises:
            TransportError: The network failed, or the status is not 200, or there are credentials
                in both the address and the headers.
            TransportTimeoutError: The response did not come in time.
            ProtocolError: The response is too large.
        """
        address = self._options.address
        fields = _HEADERS
        if headers:
            fields = _HEADERS.copy()
            fields.update(headers)
        check_credentials(address, fields, self._http)
        # What the server closed meanwhile is known to the kernel, not yet to aiohttp: two turns
        # of the loop tell it, and the request goes over another connection.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        url = address
        for _ in range(1 + MOST_REDIRECTS):
            outcome = await self._sent_once(url, data, fields, timeout)
            if isinstance(outcome, Received):
                return outcome
            url = outcome
        raise TransportError(f"{shown(address)} redirects again and again", final=True)

    async def _sent_once(
        self, url: URL, data: str | bytes, headers: Mapping[str, str], timeout: float
    ) -> Received | URL:
        """Post a payload; again if the first time nothing of it was sent."""
        try:
            if len(data) > _WRITTEN_AT_ONCE:
                return await self._sent_in_pieces(url, _LargeBody(data), headers, timeout)
            return await self._sent_at_once(url, data, headers, timeout)
        except NETWORK_ERRORS as error:
            raise_transport_error(error, url)

    async def _sent_at_once(
        self, url: URL, data: str | bytes, headers: Mapping[str, str], timeout: float
    ) -> Received | URL:
        body = _Body(data, watched=not self._speaks_http)
        try:
            return await self._post(url, body, headers, timeout)
        except aiohttp.ClientResponseError as error:
            if is_no_http(error) and (self._speaks_http or body.brought_http):
                # Not chained: aiohttp shows the whole address.
                raise ProtocolError(
                    f"{shown(url)} sent something that is no HTTP after a response that is: "
                    "is there a proxy on the way that disturbs it?"
                ) from None
            raise
        except aiohttp.ClientConnectionError as error:
            if body.sent or isinstance(error, aiohttp.ClientConnectorError):
                raise  # the server may have read it, or there was no connection at all
        return await self._post(url, _Body(data), headers, timeout)

    async def _sent_in_pieces(
        self, url: URL, body: _LargeBody, headers: Mapping[str, str], timeout: float
    ) -> Received | URL:
        try:
            return await self._post(url, body, headers, timeout)
        except BaseException:
            body.give_up()
            raise

    async def _post(
        self, url: URL, body: _Body | _LargeBody, headers: Mapping[str, str], timeout: float
    ) -> Received | URL:
        """Post a payload; gives the response, or where it redirects to."""
        progressed = body.progressed if isinstance(body, _LargeBody) else None
        async with (
            timeout_after(timeout, progressed) as deadline,
            self._http.post(
                url,
                data=body,
                headers=headers,
                ssl=self._options.ssl,
                proxy=self._options.proxy,
                allow_redirects=False,
                timeout=_NO_TIMEOUT,
            ) as response,
        ):
            self._speaks_http = True
            if response.status != 200:
                target = None
                if response.status != 303:  # a GET elsewhere, which means nothing in Bayeux
                    target = redirect_target(response.status, response.headers, url)
                if target is None:
                    raise status_error(response.status, url, response.headers)
                return target
            content = await self._read(response, deadline)
        if not content:
            raise TransportError(f"{shown(url)} answered with an empty response")
        return Received(content, response.headers)

    async def _read(self, response: aiohttp.ClientResponse, deadline: Timeout) -> bytes:
        """Read a body, but no more of it than is allowed: garbage may be without end."""
        limit = self._options.max_message_size
        chunks: list[bytes] = []
        size = 0
        needed = 0
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > limit:
                raise ProtocolError(
                    f"{shown(response.url)} sent a response larger than max_message_size, "
                    f"{limit} bytes"
                )
            chunks.append(chunk)
            if size >= needed:
                deadline.restart()
                needed = size + LEAST_PROGRESS
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class _Body(aiohttp.BytesPayload):
    """A small body, which aiohttp writes in one piece with the headers.

    Attributes:
        sent: Whether anything of the request may have left. Only if not, because the idle
            connection was closed just before, is it safe to send it again.

    Args:
        data: The body.
        watched: Whether to look at what the connection brings.
    """

    def __init__(self, data: str | bytes, *, watched: bool = False) -> None:
        super().__init__(data.encode() if isinstance(data, str) else data)
        self.sent = False
        self._watched = watched
        self._beginning: Beginning | None = None

    @property
    def brought_http(self) -> bool:
        """Whether what came began as HTTP does, whatever came behind it."""
        return self._beginning is not None and self._beginning.is_http

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the body."""
        transport = getattr(writer, "transport", None)
        if self._watched and transport is not None:
            self._beginning = Beginning.between(transport)
        try:
            await super().write_with_length(writer, content_length)
        except aiohttp.ClientConnectionResetError:
            raise  # it was closed already
        except BaseException:
            self.sent = True
            raise
        self.sent = True


class _LargeBody(aiohttp.BytesIOPayload):
    """A body that is sent in pieces: a large one at once would block the loop."""

    def __init__(self, data: str | bytes) -> None:
        content = data.encode() if isinstance(data, str) else data
        super().__init__(io.BytesIO(content))
        self._transport: asyncio.WriteTransport | None = None
        #: How many bytes had still to reach the server when last looked at.
        self._left = len(content)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the body."""
        self._transport = getattr(writer, "transport", None)
        await super().write_with_length(writer, content_length)

    def give_up(self) -> None:
        """Send no more of it: what only closes waits for all to leave, which may be never.

        A connection with TLS has been aborted by aiohttp already.
        """
        if self._transport is not None and self._transport.is_closing():
            self._transport.abort()

    def progressed(self) -> bool:
        """Tell whether a good deal of it has reached the server since this was last asked."""
        if self._transport is None:
            return False
        unwritten = 0 if self._value.closed else self._size - self._value.tell()
        left, self._left = self._left, unwritten + unsent(self._transport)
        return self._left <= left - LEAST_PROGRESS or self._left == 0 < left


_HEADERS: Final = CIMultiDict({"Content-Type": CONTENT_TYPE})
#: Characters or bytes. Four bytes a character, it is below the 64 KiB after which aiohttp waits
#: for the socket, so that it does not write in one piece.
_WRITTEN_AT_ONCE: Final = 8 * 1024
#: Time is told by a deadline of ours, which moves while a response makes progress.
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)
