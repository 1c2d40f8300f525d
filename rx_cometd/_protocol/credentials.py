"""Credentials: which generation of them a request was sent with, and what waits for the next.

However many requests fail for want of credentials, new ones are asked for once at a time; what
was sent with older ones than there are now is sent again without asking; and each request is
sent again once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd._protocol.outcomes import Outcome, Unauthorized
from rx_cometd._protocol.refusals import authentication_failed

if TYPE_CHECKING:
    from rx_cometd._protocol.requests import Request

__all__ = ["Credentials"]


class Credentials:
    """The credentials of a client, as far as the protocol is concerned.

    Args:
        renewable: Whether new ones can be had after an authentication failure.
        outcomes: Where `Unauthorized` is put.
    """

    def __init__(self, outcomes: list[Outcome], *, renewable: bool) -> None:
        self._renewable = renewable
        self._outcomes = outcomes
        #: What a request that is sent now is sent with.
        self.generation = 0
        self._asked = False
        self._waiting: list[Request] = []

    def might_help(self, error: Exception) -> bool:
        """Tell whether a failure may go away with new credentials."""
        return self._renewable and authentication_failed(error)

    def ask(self, error: Exception) -> None:
        """Have new credentials asked for, unless they are already."""
        if not self._asked:
            self._asked = True
            self._outcomes.append(Unauthorized(error))

    def are_newer_than(self, request: Request) -> bool:
        """Tell whether there are newer ones than those a request was sent with."""
        return request.credentials < self.generation

    def hold(self, request: Request) -> None:
        """Keep a request until there are new credentials."""
        request.sent = False
        self._waiting.append(request)

    def renewed(self) -> list[Request]:
        """Note that there are new ones. Gives the requests that waited for them."""
        self.generation += 1
        return self.unavailable()

    def unavailable(self) -> list[Request]:
        """Note that there are no new ones. Gives the requests that waited for them."""
        self._asked = False
        waiting, self._waiting = self._waiting, []
        return waiting
