"""What operators check of their arguments when they are made, so that mistakes show at once."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast

from reactivex import abc

from rx_cometd._flow.flow import Overflow

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "check_bound",
    "check_choice",
    "check_coroutine_function",
    "check_fraction",
    "check_int",
    "check_methods",
    "check_plain_function",
    "check_positive",
    "check_scheduler",
    "check_seconds",
    "told_to",
]

_T = TypeVar("_T")


def check_plain_function(name: str, function: Any) -> None:
    """Refuse what is not a plain function: its result would be a coroutine nobody awaits.

    Raises:
        TypeError: It cannot be called, or is a coroutine function.
    """
    if not callable(function):
        raise TypeError(f"{name} cannot be {function!r}: a function is needed")
    if _is_async(function):
        raise TypeError(
            f"{name} cannot be the coroutine function {_name(function)}, for nobody would await "
            "it: a plain function is needed (map_async is for asynchronous work)"
        )


def check_coroutine_function(name: str, function: Any) -> None:
    """Refuse what cannot give an awaitable. Plain functions may, so they are called to see.

    Raises:
        TypeError: It cannot be called, or is an (asynchronous) generator function.
    """
    if not callable(function):
        raise TypeError(f"{name} cannot be {function!r}: a coroutine function is needed")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(
            f"{name} cannot be the generator function {_name(function)}: "
            "a coroutine function is needed"
        )


def check_bound(max_pending_count: Any, overflow: Any) -> None:
    """Check the two arguments that all bounded operators share.

    Raises:
        TypeError: The bound is not an integer, or the policy not an `Overflow`.
    """
    if max_pending_count is not None and not _is_int(max_pending_count):
        raise TypeError(f"max_pending_count must be an int or None, not {max_pending_count!r}")
    if overflow is not None and not isinstance(overflow, Overflow):
        raise TypeError(f"overflow must be an Overflow or None, not {overflow!r}")


def check_int(name: str, value: Any) -> None:
    """Check a number of things, which may be none, or fewer.

    Raises:
        TypeError: It is not an integer.
    """
    if not _is_int(value):
        raise TypeError(f"{name} must be an int, not {value!r}")


def check_positive(name: str, value: Any) -> None:
    """Check a count, of things done at once for instance.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is less than 1.
    """
    check_int(name, value)
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")


def check_seconds(name: str, value: Any, *, zero: bool = False) -> None:
    """Check a duration.

    Args:
        name: The name of the argument.
        value: The duration.
        zero: Whether 0 is allowed.

    Raises:
        TypeError: It is not a number.
        ValueError: It is negative, NaN, or 0 where that allows nothing.
    """
    if not _is_number(value):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not (value > 0 or (zero and value == 0)):
        least = "at least" if zero else "more than"
        raise ValueError(f"{name} must be {least} 0 seconds, not {value!r}")


def check_fraction(name: str, value: Any) -> None:
    """Check a part of a whole.

    Raises:
        TypeError: It is not a number.
        ValueError: It is not from 0 to 1.
    """
    if not _is_number(value):
        raise TypeError(f"{name} must be a number from 0 to 1, not {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, not {value!r}")


def check_choice(name: str, value: Any) -> None:
    """Check a choice between yes and no: what else counts as true may have been meant otherwise.

    Raises:
        TypeError: It is not a bool.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")


def _is_int(value: Any) -> bool:
    """Tell a count from a choice, which Python takes for one."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """Tell a number from a choice, likewise."""
    return _is_int(value) or isinstance(value, float)


def check_scheduler(scheduler: Any) -> None:
    """Check what times an operator.

    Raises:
        TypeError: It is not a scheduler of ReactiveX.
    """
    if scheduler is not None and not isinstance(scheduler, abc.SchedulerBase):
        raise TypeError(f"scheduler must be a scheduler of reactivex or None, not {scheduler!r}")


def check_methods(name: str, value: Any, *methods: str) -> None:
    """Check what is used by its methods, whatever its class.

    Args:
        name: The name of the argument.
        value: What was given.
        methods: The methods that it needs.

    Raises:
        TypeError: It has not all of them.
    """
    missing = [method for method in methods if not callable(getattr(value, method, None))]
    if missing:
        # Its type only: credentials are in what may be meant to be a store or a login.
        kind = type(value).__name__
        wanted = " and ".join(f"{method}()" for method in methods)
        raise TypeError(f"{name} must have {wanted}, which {kind} has not")


def told_to(
    name: str, target: abc.ObserverBase[_T] | Callable[[_T], object]
) -> Callable[[_T], object]:
    """Give what to call to tell an observer or a function of something.

    Raises:
        TypeError: It is neither.
    """
    given: Any = target
    if isinstance(given, abc.ObserverBase):
        given = cast("abc.ObserverBase[_T]", given).on_next
    check_plain_function(name, given)
    return cast("Callable[[_T], object]", given)


def _is_async(function: Any) -> bool:
    # inspect looks through functools.partial, but not at __call__ of an instance.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - not whether, but what it is
    )


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", repr(function)))
