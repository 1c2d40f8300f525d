"""How the packages of an extra are installed, for the texts of errors."""

from __future__ import annotations

__all__ = ["how_to_install"]


def how_to_install(extra: str) -> str:
    """Give the command, for the package index and for a clone of the repository."""
    return f"pip install 'rx-cometd[{extra}]' (in a clone: pip install '.[{extra}]')"
