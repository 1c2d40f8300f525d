"""Standard output in the place of a broker, to see what a relay would write."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

from rx_cometd.relay.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd.extensions import ReplayId
    from rx_cometd.relay.record import Batch
    from rx_cometd.relay.sink import Lease

__all__ = ["StdoutSink"]

_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")


class StdoutSink:
    """Writes records as JSON lines. It remembers no markers, and knows no lease."""

    system = "stdout"

    def __repr__(self) -> str:
        return "<StdoutSink>"

    def subject(self, template: str, channel: str) -> str:
        """Give the subject: segments become words with dots between them."""
        return template.replace("{channel}", ".".join(channel[1:].split("/")))

    async def markers(self) -> Mapping[str, ReplayId]:
        """Give no markers."""
        return {}

    async def write(self, batch: Batch) -> None:
        """Print a batch; whoever reads is waited for."""
        for record in batch.records:
            told = json.dumps({"subject": record.subject, "headers": record.headers})
            # As they came; a line break is outside of the texts of JSON, which have `\\n` for it.
            data = record.value.translate(_ONE_LINE).decode(errors="replace")
            sys.stdout.write(f'{told[:-1]}, "data": {data}}}\n')
        sys.stdout.flush()

    def lease(self, seconds: float) -> Lease:  # noqa: ARG002 - as a `Sink` has it
        """Refuse.

        Raises:
            BrokerError: Always.
        """
        raise BrokerError("stdout: has no lease: leave the lease out")

    async def aclose(self) -> None:
        """Do nothing: standard output is not ours."""
