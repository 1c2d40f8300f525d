"""How commands print messages: the options, and the function they choose."""

from __future__ import annotations

import datetime as dt
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from rich.console import Console
from rich.highlighter import JSONHighlighter

from rx_cometd.cli.fields import as_text, parse_path, template
from rx_cometd.cli.output import to_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Rendering", "rendering_options"]

_F = TypeVar("_F", bound="Callable[..., Any]")


class Rendering(NamedTuple):
    """How to print messages, as asked for on the command line."""

    data_only: bool
    field: tuple[str, ...]
    format: str | None
    pretty: bool
    raw: bool
    timestamps: bool

    @classmethod
    def of(cls, options: dict[str, Any]) -> Rendering:
        """Take what `rendering_options` gave out of a command's keyword arguments."""
        return cls(*(options.pop(name) for name in cls._fields))

    def renderer(self) -> Callable[[Any], str]:
        """Make the function from a message to what is printed of it, line feeds included.

        Raises:
            click.BadParameter: A path or a template makes no sense.
            click.UsageError: Options contradict each other.
        """
        if self.format is not None and (self.field or self.data_only or self.raw or self.pretty):
            raise click.UsageError("--format says it all: leave the others out")
        render = self._rendered()
        if not self.timestamps:
            return lambda message: render(message) + "\n"
        return lambda message: f"{_now()} {render(message)}\n"

    def _rendered(self) -> Callable[[Any], str]:
        try:
            if self.format is not None:
                return template(self.format)
            takes = [parse_path(path) for path in self.field]
        except ValueError as error:
            option = "--field" if self.format is None else "--format"
            raise click.BadParameter(str(error), param_hint=option) from error
        show = self._show()
        if takes:
            return lambda message: "\t".join(show(take(message)) for take in takes)
        if self.data_only or self.raw:
            return lambda message: show(message.get("data"))
        return show

    def _show(self) -> Callable[[Any], str]:
        if self.pretty:
            return _coloured() if _colours() else _indented
        return as_text if self.raw else to_json


_OPTIONS = (
    click.option("--data", "data_only", is_flag=True, help="Print only the data of each message."),
    click.option(
        "--field",
        "--json-path",
        multiple=True,
        metavar="PATH",
        help="Print only this part, as data.price or data.legs[0]. Repeated: with tabs between.",
    ),
    click.option(
        "--format",
        metavar="TEMPLATE",
        help=r"Print this, as '{channel:<20} {data.price:.2f}\t{data}'.",
    ),
    click.option("--pretty", is_flag=True, help="Indent the JSON, in colours on a terminal."),
    click.option("--raw", is_flag=True, help="Print only the data, strings without quotes."),
    click.option("-t", "--timestamps", is_flag=True, help="Begin with the time of arrival, UTC."),
)


def rendering_options(command: _F) -> _F:
    """Give a command the options of `Rendering`, as keyword arguments of those names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _now() -> str:
    now = dt.datetime.now(dt.UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _indented(value: Any) -> str:
    return to_json(value, indent=2)


def _coloured() -> Callable[[Any], str]:
    console = Console()
    highlight = JSONHighlighter()

    def show(value: Any) -> str:
        with console.capture() as capture:
            console.print(highlight(_indented(value)), soft_wrap=True, end="")
        return capture.get()

    return show
