"""Running a command's coroutine: signals, errors, exit codes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from rx_cometd import (
    AuthenticationError,
    BufferOverflowError,
    ClientError,
    CometDError,
    InvalidChannelError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.cli.log_lines import LogLines, told_by

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["error_line", "exit_code", "run", "tell"]


def run(command: Coroutine[None, None, None], *, endless: bool = True) -> None:
    """Run a command to its end, and exit with the exit code that says how it went.

    Whatever stops it, the coroutine is cancelled first and can disconnect from the server.

    Args:
        command: What to run.
        endless: Ctrl-C and SIGTERM are how one stops commands that go on for ever, so they are
            no failures there; others were not done.

    Raises:
        SystemExit: Always.
    """
    stopped_by: list[int] = []
    try:
        _heed_ctrl_c()
        with told_by(LogLines(tell)):
            asyncio.run(_stoppable(command, stopped_by))
    except (KeyboardInterrupt, asyncio.CancelledError):
        number = stopped_by[0] if stopped_by else signal.SIGINT
        sys.exit(0 if endless else 128 + number)
    except BrokenPipeError:
        forget_stdout()
        sys.exit(0)
    except InvalidChannelError as error:
        raise click.BadParameter(str(error)) from error
    except (CometDError, OSError) as error:
        tell(error_line(error))
        sys.exit(exit_code(error))
    sys.exit(0)


def tell(line: str) -> None:
    """Tell the user something, on standard error."""
    # Where nobody can be told, the exit code still tells.
    with suppress(OSError):
        click.echo(f"rx-cometd: {line}", err=True)


def _heed_ctrl_c() -> None:
    here = threading.current_thread() is threading.main_thread()
    if here and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio replaces only this one


async def _stoppable(command: Coroutine[None, None, None], stopped_by: list[int]) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checkers: coroutines run in tasks here

    def stop() -> None:
        stopped_by.append(signal.SIGTERM)
        task.cancel()

    # Windows has no such handlers (there SIGTERM ends the process at once), nor have threads.
    with suppress(NotImplementedError, RuntimeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    await command


def forget_stdout() -> None:
    """Keep Python from writing what is left in its buffers to a reader that is gone."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code(error: BaseException) -> int:
    """Give the exit code that an error ends a command with."""
    return 3 if _of_network(error) else 1


def _of_network(error: BaseException | None) -> bool:
    """Tell whether an error is the network's: itself, or what the client drew its end from."""
    if isinstance(error, ClientError):
        return _of_network(error.__cause__)
    return isinstance(error, TransportError)


def error_line(error: BaseException) -> str:
    """Tell of an error in one line: what happened, to what, why, and what to do.

    >>> error_line(TransportTimeoutError("no link for 5 s"))
    'network: no link for 5 s; check the URL, or give it longer with --timeout'
    """
    text = _text(error)
    cause = error.__cause__
    if cause is not None:
        told = _text(cause)
        text += "" if told in text else f"; last: {told}"
    advice = _advice(error, text)
    if text.endswith("?"):  # it asks what to look at already
        advice = advice[:1].upper() + advice[1:] if isinstance(error, AuthenticationError) else ""
        text += " "
    elif advice:
        text += "; "
    return " ".join(f"{_kind(error)}{text}{advice}".split())


def _text(error: BaseException) -> str:
    told = error.strerror if isinstance(error, OSError) else None
    return told or str(error) or type(error).__name__


def _kind(error: BaseException) -> str:
    if isinstance(error, AuthenticationError):
        return "not authenticated: "
    if _of_network(error):
        return "network: "
    if isinstance(error, OSError):
        return ""
    return "error: " if isinstance(error, ClientError) else "refused: "


#: What to do about an error, told by its kind or by words in its text.
_ADVICE: tuple[tuple[type[BaseException], str, str], ...] = (
    (OSError, "address already in use", "give another --port; 0 takes a free one"),
    (socket.gaierror, "", "is --host a name or address of this machine?"),
    (BufferOverflowError, "", "--ack makes the server wait"),
    (AuthenticationError, "", "give a token with --auth"),
    (CometDError, "certificate verify failed", "trust it with --cacert FILE, or use --insecure"),
    (TransportError, "404", "check the path of the URL"),
    (ClientError, "404", "check the path of the URL"),
    (TransportTimeoutError, "no link", "check the URL, or give it longer with --timeout"),
    (TransportTimeoutError, "no reply", "is there such a service? Or give it longer: --timeout"),
    (TransportConnectionClosed, "--no-reconnect", "run it again, or leave that option out"),
)


def _advice(error: BaseException, text: str) -> str:
    for kind, words, advice in _ADVICE:
        if isinstance(error, kind) and words in text:
            return advice
    return ""
