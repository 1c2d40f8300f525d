"""Running a command's coroutine: signals, errors, exit codes."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from rx_cometd import (
    AuthenticationError,
    ClientError,
    CometDError,
    InvalidChannelError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["run"]


def run(command: Coroutine[None, None, None]) -> None:
    """Run a command to its end, and exit with the exit code that says how it went.

    Ctrl-C and SIGTERM are how one stops commands that go on for ever, so they are no failures.
    Whatever stops it, the coroutine is cancelled first and can disconnect from the server.

    Raises:
        SystemExit: Always.
    """
    try:
        asyncio.run(_stoppable(command))
    except (KeyboardInterrupt, asyncio.CancelledError, BrokenPipeError):
        sys.exit(0)
    except InvalidChannelError as error:
        raise click.BadParameter(str(error)) from error
    except CometDError as error:
        click.echo(f"rx-cometd: {_kind(error)}: {error}", err=True)
        sys.exit(3 if isinstance(error, TransportError) else 1)
    except OSError as error:
        click.echo(f"rx-cometd: {error}", err=True)
        sys.exit(1)
    sys.exit(0)


async def _stoppable(command: Coroutine[None, None, None]) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checkers: coroutines run in tasks here
    # Windows has no such handlers (there SIGTERM ends the process at once), nor have threads.
    with suppress(NotImplementedError, RuntimeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await command


def _kind(error: CometDError) -> str:
    if isinstance(error, AuthenticationError):
        return "not authenticated"
    if isinstance(error, TransportError):
        return "network"
    return "error" if isinstance(error, ClientError) else "refused"
