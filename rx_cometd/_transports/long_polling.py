"""The long-polling transport: one HTTP POST per payload, the replies in its response."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict

from rx_cometd._transports.base import (
    CONTENT_TYPE,
    Received,
    TransportOptions,
    transport_errors,
)
from rx_cometd.exceptions import ProtocolError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        self._url = options.url.with_scheme(_HTTP.get(options.url.scheme, options.url.scheme))

    async def exchange(
        self, data: str | bytes, headers: Mapping[str, str], timeout: float
    ) -> Received:
        """Send a payload and read the response.

        Only a non-empty 200 is a success (AbstractHttpClientTransport.java, ``processResponse``).
        The content type is not looked at: ``text/json`` and worse are in use.

        Args:
            data: The payload.
            headers: Headers of the request.
            timeout: Seconds until the whole response must be there.

        Raises:
            TransportError: The network failed, or the status is not 200.
            TransportTimeoutError: The response did not come in time.
            ProtocolError: The response is too large.
        """
        fields = CIMultiDict({"Content-Type": CONTENT_TYPE})
        fields.update(headers)
        with transport_errors():
            async with self._http.post(
                self._url,
                data=_body(data),
                headers=fields,
                ssl=self._options.ssl,
                proxy=self._options.proxy,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                if response.status != 200:
                    raise TransportError(
                        f"the server answered HTTP {response.status}", http_status=response.status
                    )
                content = await self._read(response)
        if not content:
            raise TransportError("the server answered with an empty response")
        return Received(content, response.headers)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """Read a body, but no more of it than is allowed: garbage may be without end."""
        limit = self._options.max_message_size
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > limit:
                raise ProtocolError(f"the response is larger than {limit} bytes")
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _body(data: str | bytes) -> bytes | io.BytesIO:
    """Give a request's body; in pieces where aiohttp warns that sending it blocks the loop."""
    body = data.encode() if isinstance(data, str) else data
    return body if len(body) <= _IN_ONE_PIECE else io.BytesIO(body)


_IN_ONE_PIECE = 1024 * 1024
_HTTP = {"ws": "http", "wss": "https"}
