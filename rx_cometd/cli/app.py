"""The commands, put together."""

from __future__ import annotations

import click

from rx_cometd import __version__
from rx_cometd.cli.completion import completion
from rx_cometd.cli.demo import demo
from rx_cometd.cli.listen import listen
from rx_cometd.cli.publish import call, publish
from rx_cometd.cli.relay import relay
from rx_cometd.cli.serve import serve
from rx_cometd.cli.top import top

__all__ = ["app"]


# A backspace keeps click from filling a paragraph.
_HELP = """Talk CometD (Bayeux) on the command line.

\b
See it work:          rx-cometd demo
Have a server to try: rx-cometd serve --ticker
Listen to channels:   rx-cometd listen URL '/stock/**' /news
Publish a message:    rx-cometd publish URL /news '{"text": "hi"}'
Call a service:       rx-cometd call URL /service/echo '{"a": 1}'
See what flows:       rx-cometd top URL '/stock/**'
Bring it to a broker: rx-cometd relay URL /news --to nats://localhost
"""
_EPILOG = """\b
Exit codes:
  0  done, or an endless command was stopped: by Ctrl-C,
     SIGTERM, or a reader that went away
  1  the server refused, or something else went wrong
  2  wrong usage
  3  the network, or the server's HTTP, failed
  130, 143  Ctrl-C or SIGTERM came before it was done
"""


@click.group(
    help=_HELP,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="rx-cometd")
def app() -> None:
    """Talk CometD (Bayeux) on the command line."""


for _command in (demo, serve, listen, publish, call, top, relay, completion):
    app.add_command(_command)
