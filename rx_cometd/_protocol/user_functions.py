"""The one rule for the user's functions: what one of them raises is a failure of that function.

They are called within the tasks and callbacks that a session lives by, so nothing of it gets
through to those. An ``asyncio.CancelledError`` is no exception: ``task.result()`` of a task that
was cancelled raises one, and nobody is cancelled by it. Only what is to end the program goes on up.

Where the user's code is awaited the task itself may be cancelled meanwhile, which is no failure:
see `rx_cometd._flow.edge.failure_of_awaited`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rx_cometd.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call", "ends_program", "failure_of"]

_T = TypeVar("_T")


def ends_program(error: BaseException) -> bool:
    """Tell whether an error is to end the program."""
    return isinstance(error, KeyboardInterrupt | SystemExit)


def failure_of(error: BaseException, function: str) -> Exception:
    """Give what a function of the user's raised, as an `Exception`.

    Args:
        error: What it raised.
        function: Its name, as the user knows it.

    Raises:
        KeyboardInterrupt: That is what it raised.
        SystemExit: Likewise.
    """
    if isinstance(error, Exception):
        return error
    if ends_program(error):
        raise error
    # Not the error's text, which is the user's and may hold a credential; the cause has it.
    failure = ClientError(f"`{function}` raised {type(error).__name__}")
    failure.__cause__ = error
    return failure


def call(function: Callable[[], _T], name: str) -> _T:
    """Call a function of the user's.

    Raises:
        Exception: What it raised; a `ClientError` in place of what is no `Exception`.
    """
    try:
        return function()
    except Exception:
        raise
    except BaseException as error:
        raise failure_of(error, name) from error
