"""How commands connect: the options that make a client."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import aiohttp
import click
from yarl import URL

from rx_cometd import Client, ClientError, ConnectionType, ExtensionError
from rx_cometd.cli.parameters import SECONDS, is_host, json_object
from rx_cometd.extensions import MemoryStore, ReplayOption, ack, bearer_auth, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rx_cometd import AuthExtension, Extension

__all__ = ["Connection", "connection_options"]

_F = TypeVar("_F", bound="Callable[..., Any]")
_SINCE = {"new": ReplayOption.NEW_EVENTS, "all": ReplayOption.ALL_EVENTS}
#: Those of the largest number that 64 bits hold.
_MOST_DIGITS = 20
#: What a header may be called (RFC 9110, "token"), and what no header may hold.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: Messages that wait in a command for a slow reader.
_MAX_PENDING_COUNT = 10_000
#: Bytes of a payload, as the client has it unless told otherwise.
_MAX_MESSAGE_SIZE = 16 * 1024 * 1024


class Connection(NamedTuple):
    """How to connect, as asked for on the command line.

    Attributes:
        timeout: Seconds that the first connection may take, ``None`` for ever.
    """

    transport: tuple[str, ...]
    header: tuple[str, ...]
    ext: dict[str, Any] | None
    auth: str | None
    timeout: float | None
    reconnect: bool
    proxy: str | None
    insecure: bool
    cacert: str | None
    ack: bool
    salesforce: bool
    since: int | None

    @classmethod
    def of(cls, options: dict[str, Any]) -> Connection:
        """Take what `connection_options` gave out of a command's keyword arguments."""
        return cls(*(options.pop(name) for name in cls._fields))

    def client(
        self,
        url: str,
        extensions: Sequence[Extension] = (),
        *,
        max_message_size: int = _MAX_MESSAGE_SIZE,
        json_loads: Callable[[Any], Any] = json.loads,
    ) -> Client:
        """Make the client: it seeks a lost link for ever, unless it shall not at all.

        Raises:
            click.BadParameter: An option makes no sense.
        """
        headers = dict(_parse_header(header) for header in self.header)
        _check_url(url)
        try:
            return Client(
                url,
                self._connection_types(),
                connection_timeout=None,
                ssl=self._ssl(),
                proxy=self.proxy,
                max_pending_count=_MAX_PENDING_COUNT,
                max_message_size=max_message_size,
                headers=headers,
                handshake_fields={} if self.ext is None else {"ext": self.ext},
                extensions=[*self._extensions(), *extensions],
                auth=None if self.auth is None else _auth(self.auth),
                json_dumps=functools.partial(json.dumps, allow_nan=False),
                json_loads=json_loads,
            )
        except (ClientError, ValueError, TypeError) as error:
            raise click.BadParameter(str(error)) from error

    def http_session(self) -> aiohttp.ClientSession:
        """Make a session for plain HTTP requests to the same ends; needs a running event loop.

        Raises:
            click.BadParameter: An option makes no sense.
        """
        verification = self._ssl()
        return aiohttp.ClientSession(
            headers=dict(_parse_header(header) for header in self.header),
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            connector=aiohttp.TCPConnector(ssl=True if verification is None else verification),
            proxy=self.proxy,
        )

    def _connection_types(self) -> list[ConnectionType] | None:
        if self.salesforce and not self.transport:
            return [ConnectionType.LONG_POLLING]  # all that Salesforce speaks
        return [ConnectionType(name) for name in self.transport] or None

    def _extensions(self) -> list[Extension]:
        extensions: list[Extension] = [ack()] if self.ack else []
        if self.salesforce or self.since is not None:
            initial = ReplayOption.NEW_EVENTS if self.since is None else self.since
            extensions.append(replay(MemoryStore(), initial=initial))
        return extensions

    def _ssl(self) -> ssl.SSLContext | bool | None:
        if self.insecure:
            return False
        if self.cacert is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.cacert)
        except OSError as error:
            raise click.BadParameter(
                f"{self.cacert} holds no certificate in PEM form: {error}", param_hint="--cacert"
            ) from error


def _check_url(url: str) -> None:
    """See to what the client does not: it takes what a name service might know."""
    if "://" not in url:  # not told again: it may hold a password
        text = "it must begin with http:// or https://, as http://127.0.0.1:8080/cometd"
        raise click.BadParameter(text, param_hint="URL")
    with suppress(ValueError):  # which the client tells
        host = URL(url).host
        if host and not is_host(host):
            raise click.BadParameter(f"{host!r} is no name of a host", param_hint="URL")


def _since(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None or value in _SINCE:
        return None if value is None else _SINCE[value]
    # Salesforce has -1 and -2 for new ones and all.
    if not value.isdecimal() and value not in {"-1", "-2"}:
        raise click.BadParameter("a replay id is a number, or 'new', or 'all'")
    if len(value) > _MOST_DIGITS:
        raise click.BadParameter(f"a replay id has at most {_MOST_DIGITS} digits")
    return int(value)


def _or_for_ever(
    _context: click.Context, _parameter: click.Parameter, seconds: float
) -> float | None:
    return seconds or None


_OPTIONS = (
    click.option(
        "--auth",
        metavar="TOKEN|@FILE|cmd:COMMAND",
        envvar="RX_COMETD_AUTH",
        help="Bearer token; or @ and the file that holds it; or cmd: and the command that prints"
        " it, run again when the server refuses the token. Also read from RX_COMETD_AUTH, which"
        " unlike an option no other user sees.",
    ),
    click.option(
        "--header",
        multiple=True,
        metavar="'NAME: VALUE'",
        help="A header of every request. May be repeated.",
    ),
    click.option(
        "--ext",
        callback=json_object,
        metavar="JSON",
        help="The ext of the handshake, an object.",
    ),
    click.option(
        "--transport",
        multiple=True,
        type=click.Choice([kind.value for kind in ConnectionType]),
        help="Which transport to use; several in order of preference. Default: websocket, then"
        " long-polling.",
    ),
    click.option(
        "--timeout",
        type=SECONDS,
        default=10.0,
        show_default=True,
        callback=_or_for_ever,
        help="Seconds that the server may take: to connect, and to reply; 0: for ever.",
    ),
    click.option(
        "--reconnect/--no-reconnect",
        default=True,
        show_default=True,
        help="Seek a lost link for ever, or end with exit code 3.",
    ),
    click.option("--proxy", metavar="URL", help="An HTTP proxy, as http://host:3128."),
    click.option("--insecure", is_flag=True, help="Do not verify the server's certificate."),
    click.option(
        "--cacert",
        type=click.Path(exists=True, dir_okay=False),
        help="Trust the certificates of this file, in PEM form, instead of the system's.",
    ),
    click.option("--ack", is_flag=True, help="Use the acknowledgement extension."),
    click.option(
        "--salesforce", is_flag=True, help="Speak as Salesforce does: long-polling, with replay."
    ),
    click.option(
        "--since",
        metavar="ID|new|all",
        callback=_since,
        help="Begin after the event with this replay id, with new ones, or with all there are.",
    ),
)


def connection_options(command: _F) -> _F:
    """Give a command the options of `Connection`, as keyword arguments of those names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _parse_header(header: str) -> tuple[str, str]:
    name, colon, value = (part.strip() for part in header.partition(":"))
    # Not the header itself is told: it may hold a credential.
    if not colon or not _HEADER_NAME.fullmatch(name):
        text = "a header is 'Name: value', its name of letters, digits and hyphens"
        raise click.BadParameter(text, param_hint="--header")
    if _CONTROL.search(value):
        text = f"the value of {name} has a line break, or another control character"
        raise click.BadParameter(text, param_hint="--header")
    return name, value


def _auth(source: str) -> AuthExtension:
    """Give the extension that takes its token from where ``--auth`` says.

    Raises:
        click.BadParameter: The file holds none. Told here, before anything is sent.
    """
    kind, _, rest = source.partition(":")
    if kind == "cmd":
        return bearer_auth(lambda: _printed_by(rest))
    try:
        if not source.startswith("@"):
            token = _checked_token(source, "--auth")
            return bearer_auth(lambda: token)
        _read_from(source[1:])
    except ExtensionError as error:
        raise click.BadParameter(str(error), param_hint="--auth") from error
    return bearer_auth(lambda: _read_from(source[1:]))


def _read_from(path: str) -> str:
    try:
        return _checked_token(Path(path).read_text(encoding="utf-8"), path)
    except OSError as error:
        raise ExtensionError(f"{Path(path)} holds no token: {error.strerror}") from error
    except ValueError as error:
        raise ExtensionError(f"{Path(path)} holds no token: {error}") from error


def _checked_token(text: str, source: str) -> str:
    token = text.strip()
    if not token:
        raise ExtensionError(f"{source} holds no token: it is empty")
    if _CONTROL.search(token):
        raise ExtensionError(f"{source} holds no token: it has a line break within")
    return token


async def _printed_by(command: str) -> str:
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
    token, _ = await process.communicate()
    if process.returncode or not token.strip():
        raise ExtensionError(
            f"no token from --auth: {command!r} printed {len(token.strip())} bytes and ended"
            f" with exit code {process.returncode}"
        )
    try:
        return _checked_token(token.decode(), command)
    except UnicodeDecodeError as error:
        text = f"no token from --auth: what {command!r} printed is not UTF-8"
        raise ExtensionError(text) from error
