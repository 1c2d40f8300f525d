"""HTTP requests on their way through a proxy: answered, changed, or passed on."""

from __future__ import annotations

import re
from http.client import responses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["HttpRequests", "http_response", "without_upgrade"]

_LONGEST_HEAD = 64 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r]*", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)


class HttpRequests:
    """Follows the requests of one connection.

    What cannot be followed (TLS, a WebSocket, a chunked body) is passed on as it is from there.

    Args:
        decide: Called with the head of each request; gives the head to pass on, and the response
            to send instead, if any.
    """

    def __init__(self, decide: Callable[[bytes], tuple[bytes, bytes | None]]) -> None:
        self._decide = decide
        self._buffer = bytearray()
        self._body = 0
        self._response: bytes | None = None
        self._opaque = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take bytes of the client; gives those for the server, and those for the client."""
        self._buffer += data
        onwards, back = bytearray(), bytearray()
        while self._buffer:
            if self._opaque:
                onwards += self._take(len(self._buffer))
            elif self._body:
                piece = self._take(min(self._body, len(self._buffer)))
                self._body -= len(piece)
                if self._response is None:
                    onwards += piece
            elif not self._head(onwards):
                break
            if not self._body and self._response is not None:
                back += self._response
                self._response = None
        return bytes(onwards), bytes(back)

    def _head(self, onwards: bytearray) -> bool:
        """Take the head of a request, if it is there."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            # A TLS record begins with no letter.
            self._opaque = not self._buffer[:1].isalpha() or len(self._buffer) > _LONGEST_HEAD
            return self._opaque
        head, self._response = self._decide(self._take(end + 4))
        length = _LENGTH.search(head)
        self._body = int(length[1]) if length else 0
        if self._response is None:
            self._opaque = bool(_CHUNKED.search(head) or _UPGRADE.search(head))
            onwards += head
        return True

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


def without_upgrade(head: bytes) -> bytes:
    """Give the head of a request as a proxy passes it on that does not know WebSockets."""
    if not _UPGRADE.search(head):
        return head
    return _CONNECTION.sub(b"", _UPGRADE.sub(b"", head))


def http_response(status: int, headers: Mapping[str, str], body: str) -> bytes:
    """Make a response."""
    content = body.encode()
    fields = {"Content-Type": "text/html", **headers, "Content-Length": str(len(content))}
    lines = [
        f"HTTP/1.1 {status} {responses.get(status, '')}",
        *(f"{k}: {v}" for k, v in fields.items()),
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + content
