"""A small client side of buffers, for tests: keeps what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rx_cometd._flow.observable import LoopObservable

if TYPE_CHECKING:
    from reactivex import Observable

    from rx_cometd._flow.flow import Buffer, Overflow, UnderWay
    from rx_cometd.exceptions import ClientError

_T = TypeVar("_T")


class LocalFlow:
    """A flow without a network behind it."""

    def __init__(
        self,
        max_pending_count: int = 100,
        overflow: Overflow | None = None,
        *,
        lossless: bool = True,
        refusal: ClientError | None = None,
    ) -> None:
        self.max_pending_count = max_pending_count
        self.overflow = overflow
        self.lossless = lossless
        self.refused = refusal
        self.turn: object | None = None
        self.attached: list[Buffer] = []
        self.suspended: list[Buffer] = []
        self.drops = 0
        self.turns: list[str] = []
        self.works: set[UnderWay] = set()

    def refusal(self) -> ClientError | None:
        return self.refused

    @property
    def pending_count(self) -> int:
        return sum(buffer.pending_count for buffer in self.attached)

    def attach(self, buffer: Buffer) -> None:
        assert buffer not in self.attached
        self.attached.append(buffer)

    def detach(self, buffer: Buffer) -> None:
        self.attached.remove(buffer)
        self.resume(buffer)

    def suspend(self, buffer: Buffer) -> None:
        if buffer not in self.suspended:
            self.suspended.append(buffer)
            self.turns.append("suspend")

    def resume(self, buffer: Buffer) -> None:
        if buffer in self.suspended:
            self.suspended.remove(buffer)
            self.turns.append("resume")

    def dropped(self, policy: Overflow) -> None:
        self.drops += 1

    def begin_work(self, work: UnderWay) -> None:
        self.works.add(work)

    def end_work(self, work: UnderWay) -> None:
        self.works.discard(work)


def with_flow(source: Observable[_T], flow: LocalFlow) -> LoopObservable[_T]:
    """What a channel is: an observable of a client."""
    return LoopObservable(
        lambda observer, scheduler: source.subscribe(observer, scheduler=scheduler), flow=flow
    )
