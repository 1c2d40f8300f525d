"""``rx-cometd completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

_PROGRAM = "rx-cometd"


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and their values.

    \b
    bash:  eval "$(rx-cometd completion bash)"    in ~/.bashrc
    zsh:   eval "$(rx-cometd completion zsh)"     in ~/.zshrc, behind compinit
    fish:  rx-cometd completion fish | source     in ~/.config/fish/config.fish
    """  # noqa: D301 - click's mark for a paragraph to be left as it is
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - for the type checkers: click has these three
    root = context.find_root().command
    # Not source(), which runs bash to see its version.
    script = kind(root, {}, _PROGRAM, "_RX_COMETD_COMPLETE")
    click.echo(script.source_template % script.source_vars())
