"""The user's requests, accompanied by the extensions that want it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rx_cometd.extension import Extension

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from contextlib import AbstractContextManager

    from rx_cometd.extension import Request

__all__ = ["Accompanied"]


class Accompanied:
    """Knows which extensions accompany requests; costs nothing where none does.

    Args:
        extensions: The client's.
    """

    def __init__(self, extensions: Iterable[Extension]) -> None:
        known = tuple(extensions)
        self._around = [e for e in known if type(e).around_request is not Extension.around_request]
        self._filling = [e for e in known if type(e).fill_request is not Extension.fill_request]

    def __bool__(self) -> bool:
        return bool(self._around or self._filling)

    def within(self, request: Request) -> AbstractContextManager[object]:
        """Make a request within what the extensions have around it, its fields filled in."""
        if len(self._around) == 1 and not self._filling:  # nothing to put together
            return self._around[0].around_request(request)
        return self._within_all(request)

    @contextmanager
    def _within_all(self, request: Request) -> Generator[None]:
        with ExitStack() as stack:
            for extension in self._around:
                stack.enter_context(extension.around_request(request))
            for extension in self._filling:
                extension.fill_request(request)
            yield
