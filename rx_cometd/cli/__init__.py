"""The command line: ``rx-cometd demo``, ``listen``, ``publish``, ``call``, ``serve``, ``top``.

It comes with ``pip install 'rx-cometd[cli]'``, and uses the library like anybody: what it does
with messages is done with ReactiveX pipelines and the operators of rx_cometd.

Exit codes:

- 0: done; or a command that goes on for ever was stopped, by Ctrl-C, SIGTERM, or the reader of
  a pipe that went away;
- 1: the server refused, or something else went wrong;
- 2: wrong usage;
- 3: the network, or the server's HTTP, failed;
- 130, 143: Ctrl-C or SIGTERM came before the command was done.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

__all__ = ["main"]

_MISSING = """\
rx-cometd: the command line needs {name}, which is not installed. It comes with

    pip install 'rx-cometd[cli]'

or, in a clone of the repository,

    pip install '.[cli]'
"""


def main() -> None:
    """Run the command that ``sys.argv`` asks for, and exit with its exit code.

    Raises:
        SystemExit: Always; see the exit codes above.
    """
    here = threading.current_thread() is threading.main_thread()
    ours = here and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    # Before the command runs, and behind it, there is nothing to end in order: no traceback of an
    # import, or of what Python does at its end.
    try:
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        _main()
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _main() -> None:
    try:
        from rx_cometd.cli.app import app  # noqa: PLC0415 - what it needs may be missing
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("click", "rich"):
            raise
        sys.stderr.write(_MISSING.format(name=error.name.partition(".")[0]))
        sys.exit(1)
    _open_missing_streams()
    try:
        app(prog_name="rx-cometd")
    except OSError as error:  # of what it printed itself: the errors of commands are told by them
        sys.stderr.write(f"rx-cometd: {error.strerror or error}\n")
        sys.exit(1)


def _open_missing_streams() -> None:
    """Have a standard output and error where the shell closed them (``>&-``)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Takes the number that is free, so no socket gets it; and it is never closed.
            null = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(null, "w", encoding="utf-8", closefd=False))
