"""Observers that see to the data of messages: typed values, and data left as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from reactivex.observer import AutoDetachObserver

from rx_cometd import DecodeError, Event, raw_json_loads
from rx_cometd._flow.data_observers import Completing, Decoding
from rx_cometd._flow.decoders import decoder_of


class Quote(msgspec.Struct):
    price: int


class Told:
    """An observer, and what it was told."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.errors: list[Exception] = []
        self.completed = False
        self.observer = AutoDetachObserver[Any](
            self.items.append, self.errors.append, self._complete
        )

    def _complete(self) -> None:
        self.completed = True


def raw_event(data: bytes) -> Event:
    event: Event = raw_json_loads(b'[{"channel":"/a","data":' + data + b"}]")[0]
    return event


def decoding(told: Told, *, raw: bool) -> Decoding[Quote]:
    return Decoding(told.observer, decoder_of(Quote), raw=raw)


@pytest.mark.parametrize("raw", [False, True])
def test_values_of_what_was_decoded_already(raw: bool) -> None:
    told = Told()
    decoding(told, raw=raw).on_next({"channel": "/a", "data": {"price": 1}})
    assert told.items == [Quote(1)]


def test_values_straight_from_json() -> None:
    told = Told()
    event = raw_event(b'{"price":2}')
    decoding(told, raw=True).on_next(event)
    assert told.items == [Quote(2)]
    assert isinstance(event["data"], msgspec.Raw)  # for the other observers, untouched


@pytest.mark.parametrize("raw", [False, True])
def test_data_of_another_type_ends_the_stream(raw: bool) -> None:
    told = Told()
    observer = decoding(told, raw=raw)
    event = raw_event(b'{"price":"x"}') if raw else Event(channel="/a", data={"price": "x"})
    observer.on_next(event)
    (error,) = told.errors
    assert isinstance(error, DecodeError)
    assert (error.channel, error.path) == ("/a", "$.price")
    assert isinstance(error.__cause__, msgspec.ValidationError)
    assert observer.is_stopped


def test_what_the_observer_raises_is_no_decode_error() -> None:
    def fault(_: Quote) -> None:
        raise LookupError("mine")

    observer = Decoding(AutoDetachObserver(fault), decoder_of(Quote), raw=False)
    with pytest.raises(LookupError, match="mine"):
        observer.on_next({"channel": "/a", "data": {"price": 1}})


def test_completed_is_the_very_message_with_plain_data() -> None:
    told = Told()
    event = raw_event(b'{"price":[1,null]}')
    Completing(told.observer).on_next(event)
    assert told.items[0] is event
    assert event["data"] == {"price": [1, None]}


@pytest.mark.parametrize("kind", ["decoding", "completing"])
def test_the_end_is_handed_on(kind: str) -> None:
    failed, done = Told(), Told()
    for told in (failed, done):
        observer: Any = (
            decoding(told, raw=False) if kind == "decoding" else Completing(told.observer)
        )
        assert not observer.is_stopped
        if told is failed:
            observer.on_error(LookupError("source"))
        else:
            observer.on_completed()
        assert observer.is_stopped
    assert [str(error) for error in failed.errors] == ["source"]
    assert done.completed
