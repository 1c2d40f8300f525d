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
#: How wide, or exact, a format may be: an exabyte of blanks helps nobody.
_MOST_CHARACTERS = 10_000
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
    if not path:
        raise ValueError("'' is no path such as data.price or data.legs[0]; $ is all of it")
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
        (literal, None if path is None else parse_path(path), _checked_format(form, conversion))
        for literal, path, form, conversion in string.Formatter().parse(unescaped)
    ]

    def fill(message: Any) -> str:
        return "".join(
            literal + ("" if take is None else _formatted(take(message), form))
            for literal, take, form in parts
        )

    return fill


def _checked_format(form: str | None, conversion: str | None) -> str:
    """See that a format is one, of texts or of numbers, and of a size that fits a screen."""
    if conversion is not None:
        raise ValueError(f"!{conversion} is not known here: behind a path stands a colon, or }}")
    if form is None or form == "":
        return ""
    if max(map(int, re.findall(r"\d+", form)), default=0) > _MOST_CHARACTERS:
        raise ValueError(f"a format has at most {_MOST_CHARACTERS} characters, not {form!r}")
    for example in ("", 1, 1.0):
        try:
            format(example, form)
        except ValueError:
            continue
        return form
    raise ValueError(f"{form!r} is no format of a text or a number, as <20 or .2f")


def _formatted(value: Any, form: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return format(value, form) if form else as_text(value)
        except (ValueError, OverflowError):  # a format of strings, or a character that is none
            pass
    try:
        return format(as_text(value), form)
    except ValueError:  # a format of numbers, and this message has none there
        return as_text(value)
