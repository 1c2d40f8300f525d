"""What `listen` and `publish` have in common: the options that make a client, and its state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import click
from rich.console import Console
from rich.text import Text

from rx_cometd import Client, ClientError, ClientState, ConnectionType, StateChange
from rx_cometd.extensions import ack

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import abc

__all__ = ["Connection", "connection_options", "parse_json", "report_states"]

_F = TypeVar("_F", bound="Callable[..., Any]")


class Connection(NamedTuple):
    """How to connect, as asked for on the command line."""

    transport: tuple[str, ...]
    header: tuple[str, ...]
    ext: str | None
    timeout: float
    insecure: bool
    ack: bool

    def client(self, url: str) -> Client:
        """Make the client.

        Raises:
            click.BadParameter: An option makes no sense.
        """
        fields = {} if self.ext is None else {"ext": parse_json(self.ext, "--ext")}
        headers = dict(_parse_header(header) for header in self.header)
        try:
            return Client(
                url,
                [ConnectionType(name) for name in self.transport] or None,
                connection_timeout=self.timeout or None,
                ssl=False if self.insecure else None,
                max_pending_count=10_000,
                headers=headers,
                handshake_fields=fields,
                extensions=[ack()] if self.ack else None,
            )
        except ClientError as error:
            raise click.BadParameter(str(error)) from error


_OPTIONS = (
    click.option(
        "--transport",
        multiple=True,
        type=click.Choice([kind.value for kind in ConnectionType]),
        help="Which transport to use; several in order of preference. Default: websocket, then"
        " long-polling.",
    ),
    click.option(
        "--header",
        multiple=True,
        metavar="'NAME: VALUE'",
        help="A header of every request, as 'Authorization: Bearer ...'. May be repeated.",
    ),
    click.option("--ext", metavar="JSON", help="The ext of the handshake, a JSON object."),
    click.option(
        "--timeout",
        default=10.0,
        show_default=True,
        help="Seconds that the link may be down before it is given up; 0: for ever.",
    ),
    click.option("--insecure", is_flag=True, help="Do not verify the server's certificate."),
    click.option("--ack", is_flag=True, help="Use the acknowledgement extension."),
)


def connection_options(command: _F) -> _F:
    """Give a command the options of `Connection`, as keyword arguments of those names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def parse_json(text: str, name: str) -> Any:
    """Read JSON from the command line.

    Raises:
        click.BadParameter: It is none; the text says what usually went wrong.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        hint = "; quote strings twice, as in '\"text\"'" if text.isalnum() else ""
        raise click.BadParameter(f"no JSON: {error}{hint}", param_hint=name) from error


def report_states(client: Client) -> abc.DisposableBase:
    """Tell standard error what becomes of the connection, as it happens."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def report(change: StateChange) -> None:
        told = _describe(change)
        if told is not None:
            console.print(Text(told[0], style=told[1]))

    return client.state_changes.subscribe(report)


def _describe(change: StateChange) -> tuple[str, str] | None:
    """Give what to say of a change, and its style; ``None`` for steps that need no words."""
    reason = "" if change.error is None else f": {change.error}"
    match change.state:
        case ClientState.CONNECTED:
            kind = cast("ConnectionType", change.connection_type).value
            session = "the same session" if change.resumed else "session"
            return f"connected over {kind}, {session} {change.client_id}", "green"
        case ClientState.UNCONNECTED:
            return f"link lost{reason}", "yellow"
        case ClientState.REHANDSHAKING:
            return f"seeking a new session{reason}", "yellow"
        case _:  # the end of it is the command's to tell
            return None


def _parse_header(header: str) -> tuple[str, str]:
    name, colon, value = header.partition(":")
    if not colon or not name.strip():
        # Not the header itself: it may hold a credential.
        raise click.BadParameter("a header is 'Name: value'", param_hint="--header")
    return name.strip(), value.strip()
