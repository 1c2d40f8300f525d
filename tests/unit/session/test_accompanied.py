"""Which extensions accompany a request, in which order, and what of those that fail."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from rx_cometd import Client, Extension
from rx_cometd._session.accompanied import Accompanied
from rx_cometd.extension import Request

if TYPE_CHECKING:
    from collections.abc import Generator

told: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    told.clear()


class Around(Extension):
    def __init__(self, name: str) -> None:
        self.name = name

    @contextmanager
    def around_request(self, request: Request) -> Generator[None]:
        told.append(f"{self.name} begins {request.channel}")
        try:
            yield
        finally:
            told.append(f"{self.name} ends")


class Filling(Extension):
    def fill_request(self, request: Request) -> None:
        told.append("filled")
        request.fields["ext"] = {"trace": 1}


class Failing(Extension):
    def fill_request(self, request: Request) -> None:
        raise LookupError(request.channel)


def request() -> Request:
    return Request("publish", "/a", {}, Client("http://localhost/"))


def test_without_such_extensions_there_is_nothing_to_do() -> None:
    assert not Accompanied(())
    assert not Accompanied((Extension.of(),))
    assert Accompanied((Filling(),))
    assert Accompanied((Around("one"),))


def test_fields_are_filled_in_within_what_is_around() -> None:
    made = request()
    with Accompanied((Filling(), Around("one"), Around("two"))).within(made):
        told.append("request")
        assert made.fields == {"ext": {"trace": 1}}
    assert told == ["one begins /a", "two begins /a", "filled", "request", "two ends", "one ends"]


def test_what_fails_within_reaches_those_around_and_the_caller() -> None:
    with (
        pytest.raises(ValueError, match="refused"),
        Accompanied((Around("one"),)).within(request()),
    ):
        raise ValueError("refused")
    assert told == ["one begins /a", "one ends"]


def test_an_extension_that_fails_leaves_no_other_one_open() -> None:
    accompanied = Accompanied((Around("one"), Failing()))
    with pytest.raises(LookupError), accompanied.within(request()):
        pytest.fail("nothing is to be sent")
    assert told == ["one begins /a", "one ends"]
