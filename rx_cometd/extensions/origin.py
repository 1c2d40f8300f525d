"""Where a vendor's server is: scheme, host and port of the address that a user gives."""

from __future__ import annotations

from typing import Any

from yarl import URL

__all__ = ["origin_of"]


def origin_of(name: str, address: Any) -> URL:
    """Give scheme, host and port of an address.

    Args:
        name: The name of the argument.
        address: What was given.

    Raises:
        TypeError: It is neither a ``str`` nor a ``URL``.
        ValueError: It is not an absolute HTTP address.
    """
    if not isinstance(address, str | URL):
        raise TypeError(f"{name} must be an address, not a {type(address).__name__}")
    try:
        given = URL(address)
    except ValueError:
        given = URL()
    if given.scheme not in ("http", "https") or not given.host:
        # The address is not shown: credentials travel in it.
        raise ValueError(f"{name} must be an address like https://example.com")
    return given.origin()
