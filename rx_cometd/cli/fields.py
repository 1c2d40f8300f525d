"""Parts of a message, by their paths: ``data.price``, ``data.legs[0].symbol``."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any, cast

from rx_cometd.cli.output import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["as_text", "field", "parse_path", "template"]

_STEP = re.compile(r"""\.?([^.\[\]"]+)|\[(\d+)\]|\["([^"]*)"\]""")
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}


def parse_path(path: str) -> Callable[[Any], Any]:
    """Give the function that takes a part out of a message, ``None`` where there is none.

    A path is names with dots between them; ``[0]`` takes an item of a list, ``["a.b"]`` a name
    with a dot in it. What JSONPath begins with, ``$.``, may stand ahead.

    >>> parse_path('$.data.legs[1]["x.y"]')({"data": {"legs": [0, {"x.y": 5}]}})
    5

    Raises:
        ValueError: It is no path.
    """
    steps: list[str | int] = []
    rest = path.removeprefix("$")
    while rest:
        match = _STEP.match(rest)
        if match is None:
            raise ValueError(f"{path!r} is no path such as data.price or data.legs[0]")
        name, index, quoted = match.groups()
        steps.append(int(index) if index is not None else name if name is not None else quoted)
        rest = rest[match.end() :]
    return lambda message: field(message, steps)


def field(value: Any, steps: Sequence[str | int]) -> Any:
    """Take a part out of a value, step by step; ``None`` where there is none."""
    for step in steps:
        match value, step:
            case dict(), str():
                value = cast("dict[str, Any]", value).get(step)
            case list(), int() if step < len(items := cast("Sequence[Any]", value)):
                value = items[step]
            case _:
                return None
    return value


def as_text(value: Any) -> str:
    """Give a value as people read it: strings without quotes, all else as JSON."""
    return value if isinstance(value, str) else to_json(value)


def template(text: str) -> Callable[[Any], str]:
    r"""Give the function that fills a template: ``{channel:<20} {data.price:.2f}\n``.

    Between braces stands a path, and behind a colon how to format it, as in Python; ``{{`` is a
    brace, and ``\n``, ``\t`` and ``\\`` are what they are in C.

    >>> template(r"{channel}\t{data.price:.1f}")({"channel": "/a", "data": {"price": 1}})
    '/a\t1.0'

    Raises:
        ValueError: It is no template.
    """
    unescaped = re.sub(r"\\[nt\\]", lambda match: _ESCAPES[match[0]], text)
    parts = [
        (literal, None if path is None else parse_path(path), form or "")
        for literal, path, form, _ in string.Formatter().parse(unescaped)
    ]

    def fill(message: Any) -> str:
        return "".join(
            literal + ("" if take is None else _formatted(take(message), form))
            for literal, take, form in parts
        )

    return fill


def _formatted(value: Any, form: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return format(value, form) if form else as_text(value)
        except ValueError:  # a format of strings
            pass
    try:
        return format(as_text(value), form)
    except ValueError:  # a format of numbers, and this message has none there
        return as_text(value)
