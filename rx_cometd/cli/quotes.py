"""From messages to what the demo shows: ReactiveX pipelines, and the values they fold into.

::

    /stock/** over websocket     --q1--q2--q3--q4--|
    /stock/** over long-polling  ---q1--q2--q3--q4-|
    [ merge, group_by symbol, scan ]
    rows, per symbol             --A1-A2-B1-B2-...-|
    [ merge, group_by transport, scan ]
    lanes, per transport         --w1-l1-w2-l2-...-|
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import reactivex as rx
from reactivex import operators as ops

from rx_cometd import ClientState, StateChange
from rx_cometd import operators as cometd_ops

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reactivex import Observable

    from rx_cometd import Client, ConnectionType

__all__ = ["Lane", "Link", "Quote", "Row", "Update", "updates"]

#: Seconds over which rates are measured.
WINDOW = 2.0
#: Prices that a trend shows, and seconds from one to the next.
TREND = 24
TREND_STEP = 0.25


class Quote(NamedTuple):
    """A quote, as one of the transports brought it.

    Attributes:
        via: The transport.
        symbol: The company's symbol.
        open: The price at the opening.
        price: The price now.
        number: Counts the quotes of the market.
        delay: Seconds from the market to here.
    """

    via: ConnectionType
    symbol: str
    open: float
    price: float
    number: int
    delay: float

    @classmethod
    def of(cls, via: ConnectionType, data: dict[str, Any]) -> Quote:
        """Make a quote of the data of a message."""
        delay = max(0.0, time.time() - data["time"])
        return cls(via, data["symbol"], data["open"], data["price"], data["number"], delay)


class _Rate:
    """Arrivals per second."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque()
        self._began = time.monotonic()

    def count(self) -> None:
        self._arrivals.append(time.monotonic())
        self._forget()

    def per_second(self) -> float:
        """Give the rate now: it falls when nothing comes any more."""
        self._forget()
        return len(self._arrivals) / min(WINDOW, max(0.25, time.monotonic() - self._began))

    def _forget(self) -> None:
        horizon = time.monotonic() - WINDOW
        while self._arrivals and self._arrivals[0] < horizon:
            self._arrivals.popleft()


@dataclass
class Row:
    """What is known of a symbol: folded from its quotes, by both transports."""

    symbol: str = ""
    open: float = 0.0
    price: float = 0.0
    number: int = 0
    trend: deque[float] = field(default_factory=lambda: deque[float](maxlen=TREND))
    rate: _Rate = field(default_factory=_Rate)
    _step_ends: float = 0.0

    @property
    def key(self) -> object:
        """What a later update of the same thing has as well."""
        return self.symbol

    @property
    def change(self) -> float:
        """The change since the opening, relative to the opening price."""
        return self.price / self.open - 1.0

    def after(self, quote: Quote) -> Row:
        """Give the row after a quote."""
        if quote.number > self.number:  # the slower transport brings what is known already
            self.rate.count()
            self.symbol, self.open, self.number = quote.symbol, quote.open, quote.number
            self.price = quote.price
            self._draw(time.monotonic())
        return self

    def _draw(self, now: float) -> None:
        if now >= self._step_ends:
            self.trend.append(self.price)
            self._step_ends = now + TREND_STEP
        else:
            self.trend[-1] = self.price


@dataclass
class Lane:
    """What a transport has brought: folded from the quotes that came by it.

    Attributes:
        received: Quotes, each counted once.
        lost: Quotes that are missing between others.
        repeated: Quotes that came again: a server that did not see the acknowledgement sends
            once more over a new websocket.
        delay: Seconds that quotes take, smoothed.
    """

    via: ConnectionType | None = None
    received: int = 0
    lost: int = 0
    repeated: int = 0
    delay: float = 0.0
    rate: _Rate = field(default_factory=_Rate)
    _next: int | None = None

    @property
    def key(self) -> object:
        """What a later update of the same thing has as well."""
        return "lane", self.via

    def after(self, quote: Quote) -> Lane:
        """Give the lane after a quote."""
        self.via = quote.via
        self.rate.count()
        if self._next is not None and quote.number < self._next:
            self.repeated += 1
            return self
        self.lost += 0 if self._next is None else quote.number - self._next
        self.delay = quote.delay if self._next is None else 0.95 * self.delay + 0.05 * quote.delay
        self._next = quote.number + 1
        self.received += 1
        return self


class Link(NamedTuple):
    """A change of a client's state."""

    via: ConnectionType
    change: StateChange

    @property
    def key(self) -> object:
        """What a later update of the same thing has as well; each loss and return counts."""
        return "link", self.via, self.change.state is ClientState.CONNECTED


Update = Row | Lane | Link


def updates(clients: Iterable[tuple[ConnectionType, Client]]) -> Observable[Update]:
    """Make the stream of all there is to show, of clients on one transport each."""
    pairs = list(clients)
    quotes: Observable[Quote] = rx.merge(*(_quotes(via, client) for via, client in pairs)).pipe(
        ops.share()
    )
    # ReactiveX leaves the type of what is grouped open.
    by_symbol: Any = ops.group_by(_symbol)
    by_transport: Any = ops.group_by(_via)
    rows: Observable[Row] = quotes.pipe(by_symbol, ops.flat_map(_rows))
    lanes: Observable[Lane] = quotes.pipe(by_transport, ops.flat_map(_lanes))
    return rx.merge(*(_links(via, client) for via, client in pairs), rows, lanes)


def _symbol(quote: Quote) -> str:
    return quote.symbol


def _via(quote: Quote) -> ConnectionType:
    return quote.via


def _rows(quotes: Observable[Quote]) -> Observable[Row]:
    return quotes.pipe(ops.scan(Row.after, Row()))


def _lanes(quotes: Observable[Quote]) -> Observable[Lane]:
    return quotes.pipe(ops.scan(Lane.after, Lane()))


def _quotes(via: ConnectionType, client: Client) -> Observable[Quote]:
    quotes: Observable[Quote] = client.channel("/stock/**").pipe(
        cometd_ops.data(), cometd_ops.decode(lambda data: Quote.of(via, data))
    )
    return quotes


def _links(via: ConnectionType, client: Client) -> Observable[Link]:
    def link(change: StateChange) -> Link:
        return Link(via, change)

    return client.state_changes.pipe(ops.map(link))
