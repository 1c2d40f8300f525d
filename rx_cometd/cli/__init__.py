"""The command line: ``rx-cometd demo``, ``listen``, ``publish`` and ``serve``.

It comes with ``pip install 'rx-cometd[cli]'``, and uses the library like anybody: what it does
with messages is done with ReactiveX pipelines and the operators of rx_cometd.

Exit codes:

- 0: done, or stopped by Ctrl-C or SIGTERM, or by the reader of a pipe that went away;
- 1: the server refused, or something else went wrong;
- 2: wrong usage;
- 3: the network, or the server's HTTP, failed.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_MISSING = """\
rx-cometd: the command line needs {name}, which is not installed. It comes with

    pip install 'rx-cometd[cli]'
"""


def main() -> None:
    """Run the command that ``sys.argv`` asks for, and exit with its exit code.

    Raises:
        SystemExit: Always; see the exit codes above.
    """
    try:
        from rx_cometd.cli.app import app  # noqa: PLC0415 - what it needs may be missing
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("click", "rich"):
            raise
        sys.stderr.write(_MISSING.format(name=error.name.partition(".")[0]))
        sys.exit(1)
    app(prog_name="rx-cometd")
