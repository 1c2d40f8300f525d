"""Being the one at work, among the relays of one name."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from rx_cometd.relay.errors import BrokerUnavailableError, LeaseLostError
from rx_cometd.relay.retrying import until_available

if TYPE_CHECKING:
    from rx_cometd.relay.counts import Counts
    from rx_cometd.relay.sink import Lease

__all__ = ["Leadership"]

_logger = logging.getLogger("rx_cometd.relay")

#: Seconds between two attempts of a standby to get the lease.
_ATTEMPTS = 0.25
#: A lease is renewed so many times within its time.
_RENEWALS = 4


class Leadership:
    """Acquires the lease, renews it, and knows when it has run out.

    Args:
        lease: The lease, ``None`` if there is no other relay of this name.
        seconds: How long it lasts.
        counts: Where outages of the broker are counted.

    Attributes:
        elsewhere: Whether another relay had the lease when that was asked last.
    """

    def __init__(self, lease: Lease | None, seconds: float, counts: Counts) -> None:
        self._lease = lease
        self._seconds = seconds
        self._counts = counts
        self._renewed = 0.0
        self.elsewhere = False

    async def acquire(self) -> None:
        """Wait until the lease is held.

        Raises:
            BrokerError: The broker cannot be used.
        """
        lease = self._lease
        if lease is None:
            return

        async def acquire() -> bool:
            self._renewed = asyncio.get_running_loop().time()
            return await lease.acquire()

        while not await until_available(acquire, self._counts):
            if not self.elsewhere:
                self.elsewhere = True
                _logger.info(
                    "standing by: another relay has the lease", extra={"event": "relay_standing_by"}
                )
            await asyncio.sleep(_ATTEMPTS)
        self.elsewhere = False

    async def keep(self) -> None:
        """Renew the lease for ever.

        Raises:
            LeaseLostError: Somebody else has it, or it ran out while the broker was away.
        """
        lease = self._lease
        if lease is None:
            await asyncio.Event().wait()
            return
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._seconds / _RENEWALS)
            began = loop.time()
            try:
                async with asyncio.timeout_at(self._renewed + self._seconds):
                    await lease.renew()
            except BrokerUnavailableError:
                pass  # the lease runs on; the next attempt, or its end, will tell
            except TimeoutError:
                pass
            else:
                self._renewed = began
            if loop.time() >= self._renewed + self._seconds:
                raise LeaseLostError("the lease ran out: the broker was away")

    async def release(self) -> None:
        """Give the lease back, if the broker is there."""
        if self._lease is not None:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._lease.release()
            except (BrokerUnavailableError, TimeoutError) as error:
                _logger.debug(
                    "the lease is left to run out: %s",
                    error,
                    extra={"event": "lease_not_released", "error_type": type(error).__name__},
                )
