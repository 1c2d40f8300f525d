"""The types of parameters that several commands have."""

from __future__ import annotations

import json
import math
import re
from typing import Any, cast

import click

__all__ = [
    "POSITIVE",
    "SECONDS",
    "Number",
    "check_text",
    "checked_host",
    "json_object",
    "read_json",
]


class Number(click.FloatRange):
    """A number within a range; unlike click's, neither ``nan`` nor infinite."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the number.

        Raises:
            click.BadParameter: It is none, or out of the range.
        """
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


#: Zero or more.
SECONDS = Number(min=0)
#: More than zero.
POSITIVE = Number(min=0, min_open=True)


def checked_host(_context: click.Context, _parameter: click.Parameter, host: str) -> str:
    """See that an option can be a host to listen on; a callback of click's.

    Raises:
        click.BadParameter: It cannot. An empty one would be every address of the machine.
    """
    if not is_host(host):
        raise click.BadParameter(f"{host!r} is no name or address of a machine")
    return host


def is_host(host: str) -> bool:
    """Tell whether something can be the name or address of a host: else it is never looked up."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return bool(host.strip())


def check_text(text: str, name: str) -> None:
    """See that an argument is text: of bytes that are none, Python makes lone surrogates.

    Raises:
        click.BadParameter: It is not.
    """
    if _NO_TEXT.search(text):
        raise click.BadParameter("it is not UTF-8", param_hint=name)


#: How Python shows the bytes of arguments that it cannot decode.
_NO_TEXT = re.compile("[\udc80-\udcff]")


def json_object(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Any:
    """Read an option that is a JSON object; a callback of click's.

    Raises:
        click.BadParameter: It is none.
    """
    if value is None:
        return None
    try:
        read = read_json(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if not isinstance(read, dict):
        raise click.BadParameter(f"{value} is not a JSON object, such as '{{\"name\": 1}}'")
    return cast("dict[str, Any]", read)


def read_json(text: str) -> Any:
    """Read JSON as its standard has it.

    >>> read_json("NaN")
    Traceback (most recent call last):
        ...
    ValueError: no JSON: NaN is not a number of JSON's

    Raises:
        ValueError: It is none; the text says what usually went wrong.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except _NotFiniteError as error:
        raise ValueError(f"no JSON: {error} is not a number of JSON's") from None
    except RecursionError:
        raise ValueError("no JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        hint = "; quote strings twice, as in '\"text\"'" if text.strip().isalpha() else ""
        raise ValueError(f"no JSON: {error}{hint}") from error


class _NotFiniteError(ValueError):
    """A number that JSON cannot hold."""


def _refuse(text: str) -> float:
    raise _NotFiniteError(text)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)
