"""The types of items come through a pipe; mypy and pyright check what stands here."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from reactivex import Observable
from reactivex.subject import Subject
from reactivex.testing import TestScheduler

from rx_cometd.operators import (
    ChannelGroup,
    WatchedObservable,
    WindowStats,
    ack_after,
    buffer_bounded,
    by_channel,
    dedupe,
    detect_gaps,
    exhaust_map_async,
    last_value,
    map_async,
    rate_limit,
    retry_with_backoff,
    share,
    switch_map_async,
    watch_quiet,
    window_stats,
)
from tests.unit.operators.times import turns

if TYPE_CHECKING:
    from rx_cometd.operators import Gap


class Quote:
    number = 0


def number_of(quote: Quote) -> int:
    return quote.number


async def text_of(quote: Quote) -> str:
    return str(quote.number)


def ignore(gap: Gap) -> None: ...


async def test_types_come_through_each_operator() -> None:
    quotes = Subject[Quote]()
    assert_type(quotes.pipe(share()), Observable[Quote])
    assert_type(quotes.pipe(last_value(number_of)), Observable[Quote])
    assert_type(quotes.pipe(retry_with_backoff()), Observable[Quote])
    assert_type(quotes.pipe(dedupe(number_of)), Observable[Quote])
    assert_type(quotes.pipe(detect_gaps(number_of, ignore)), Observable[Quote])
    assert_type(quotes.pipe(rate_limit(1, 1)), Observable[Quote])
    assert_type(quotes.pipe(ack_after(text_of)), Observable[Quote])
    assert_type(quotes.pipe(watch_quiet(1)), WatchedObservable[Quote])
    assert_type(quotes.pipe(buffer_bounded(2)), Observable[list[Quote]])
    assert_type(quotes.pipe(by_channel()), Observable[ChannelGroup[Quote]])
    assert_type(quotes.pipe(window_stats(1, number_of)), Observable[WindowStats])
    for operator in (map_async, switch_map_async, exhaust_map_async):
        assert_type(quotes.pipe(operator(text_of)), Observable[str])


async def test_they_come_through_a_chain_of_all_of_them() -> None:
    quotes = Subject[Quote]()
    chain = quotes.pipe(
        retry_with_backoff(),
        watch_quiet(60),
        detect_gaps(number_of, ignore),
        dedupe(number_of),
    ).pipe(  # of which reactivex knows the types for seven operators only
        rate_limit(10, 1),
        ack_after(text_of),
        share(),
        buffer_bounded(1),
    )
    assert_type(chain, Observable[list[Quote]])
    batches: list[list[Quote]] = []
    quote = Quote()
    with chain.subscribe(batches.append, scheduler=TestScheduler()):
        quotes.on_next(quote)
        quotes.on_next(quote)
        await turns()
    assert batches == [[quote]]
    assert quotes.observers == []
