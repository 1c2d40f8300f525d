"""What a function of the user's raises is its failure, whatever it is."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from rx_cometd._flow.edge import failure_of_awaited
from rx_cometd._protocol.user_functions import call, ends_program, failure_of
from rx_cometd.exceptions import ClientError

if TYPE_CHECKING:
    from typing import NoReturn


class Odd(BaseException):
    """What is no `Exception`."""


def raise_(error: BaseException) -> NoReturn:
    raise error


def test_an_exception_is_what_it_is() -> None:
    error = ValueError("mine")
    assert failure_of(error, "f") is error
    with pytest.raises(ValueError, match="mine") as caught:
        call(partial(raise_, error), "f")
    assert caught.value is error
    assert call(partial(int, "7"), "f") == 7


@pytest.mark.parametrize("error", [asyncio.CancelledError("x"), Odd("x"), GeneratorExit()])
def test_what_is_none_becomes_one_that_names_the_function(error: BaseException) -> None:
    with pytest.raises(ClientError) as caught:
        call(partial(raise_, error), "f")
    assert str(caught.value) == f"`f` raised {type(error).__name__}"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_what_is_to_end_the_program_does(error: BaseException) -> None:
    assert ends_program(error)
    with pytest.raises(type(error)):
        failure_of(error, "f")
    with pytest.raises(type(error)):
        call(partial(raise_, error), "f")


async def test_what_is_awaited_may_be_cancelled_with_its_task() -> None:
    async def work() -> Exception:
        try:
            await asyncio.sleep(60)
        except BaseException as error:
            return failure_of_awaited(error, "f")
        raise AssertionError

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(GeneratorExit):
        failure_of_awaited(GeneratorExit(), "f")
    for error in (asyncio.CancelledError(), Odd()):
        assert failure_of_awaited(error, "f").__cause__ is error
