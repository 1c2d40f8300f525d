"""Payloads on their way out, through the operators of the extensions."""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from rx_cometd._flow.payload import Payload
from rx_cometd._session.pipeline import Pipeline, malformed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reactivex import abc

    from rx_cometd.exceptions import ExtensionError
    from rx_cometd.extension import PayloadOperator
    from rx_cometd.messages import Message

__all__ = ["Outbound"]

_log = logging.getLogger("rx_cometd.wire")


class _Waiting:
    """Messages on their way through the extensions, and who waits for them.

    Attributes:
        ids: Their ids, by ``id(message)``.
        passed: The payload, once it is past the extensions.
    """

    def __init__(self, messages: list[Message], passed: asyncio.Future[Payload]) -> None:
        self.ids = {id(message): message.get("id", "") for message in messages}
        self.passed = passed

    def has(self, message: Message) -> bool:
        return id(message) in self.ids or message.get("id") in self.ids.values()

    def emit(self, payload: Payload) -> None:
        if not self.passed.done():
            self.passed.set_result(payload)

    def fail(self, error: ExtensionError) -> None:
        if not self.passed.done():
            self.passed.set_exception(error)


class Outbound:
    """The outbound pipeline of a session, and what becomes of the payloads in it.

    Args:
        operators: The outbound operators, the one nearest to the wire last.
        timeout: Seconds that a payload may be inside.
        scheduler: What operators that take time run on.
    """

    def __init__(
        self,
        operators: Sequence[PayloadOperator],
        timeout: float,
        scheduler: abc.SchedulerBase,
    ) -> None:
        self._pipeline: Pipeline[_Waiting] = Pipeline(operators, self, timeout, scheduler)
        #: Numbers the messages that extensions add.
        self._added = count(1)

    async def send(
        self, messages: list[Message], headers: CIMultiDict[str]
    ) -> tuple[list[Message], CIMultiDict[str], tuple[str, ...]]:
        """Have the extensions see a payload.

        Returns:
            The messages to send, the headers to send, and the ids of what was dropped.

        Raises:
            ExtensionError: An extension failed, or dropped the whole payload.
        """
        for message in messages:
            ext = message.get("ext")
            if isinstance(ext, dict):
                # The user's own, perhaps, or sent again: it is not for extensions to change.
                message["ext"] = ext.copy()
        # The messages are held here, so that nothing that is new can be taken for one of them;
        # the payload is not, so that the pipeline can tell whether an extension holds it.
        waiting = _Waiting(messages, asyncio.get_running_loop().create_future())
        self._pipeline.push(messages, headers, waiting)
        future = waiting.passed
        passed = future.result() if future.done() else await future
        try:
            self._restore_ids(passed.messages, waiting.ids)
            kept = {message.get("id") for message in passed.messages}
            headers = CIMultiDict((name, str(value)) for name, value in passed.headers.items())
        except Exception as error:
            raise malformed(error) from error
        dropped = tuple(i for i in waiting.ids.values() if i not in kept)
        return list(passed.messages), headers, dropped

    def dispose(self) -> None:
        """End the pipeline."""
        self._pipeline.dispose()

    def _restore_ids(self, messages: list[Message], ids: Mapping[int, str]) -> None:
        """Give messages their ids back, and those that extensions added ids of their own.

        Without one, or with another's, the reply to such a message would be taken for that to a
        request of the client, whose ids are decimal numbers.
        """
        known = set(ids.values())
        for message in messages:
            request_id = ids.get(id(message))
            if request_id is not None:
                message["id"] = request_id
                continue
            given = str(message.get("id", ""))
            if given not in known and (not given or given.isdecimal()):
                message["id"] = f"extension-{next(self._added)}"

    # -- what the pipeline tells -----------------------------------------------------------------

    def emitted(self, owners: tuple[_Waiting, ...], payload: Payload, _: tuple[str, ...]) -> None:
        """Hand a payload to those who wait for it."""
        if not owners:
            _log.warning(
                "did not send %r: an extension made it, not the client",
                payload,
                extra={"event": "payload_unexpected", "direction": "out"},
            )
        elif len(owners) == 1:
            owners[0].emit(payload)
        else:
            # Merged payloads are sent one by one all the same: each has its own reply to wait for.
            for owner in owners:
                own = [message for message in payload.messages if owner.has(message)]
                owner.emit(Payload(own, payload.headers))

    def failed(
        self,
        owners: tuple[_Waiting, ...],
        _payload: Payload | None,
        _replies: tuple[str, ...],
        error: ExtensionError,
    ) -> None:
        """Fail those who wait for a payload."""
        for owner in owners:
            owner.fail(error)
