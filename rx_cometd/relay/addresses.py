"""Addresses of brokers: the servers that one names, and which are none."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["servers_of"]


def servers_of(url: str) -> list[str]:
    """Give each server of ``scheme://user:password@host:port,host:port`` an address of its own.

    Those that name no user have that of the first one.

    Raises:
        ValueError: It is no such address. The text does not repeat it: it may hold a password.

    Example:
        >>> servers_of("nats://me:secret@a:4222,b")
        ['nats://me:secret@a:4222', 'nats://me:secret@b']
    """
    scheme, colon, rest = url.partition(":")
    slashes, rest = rest[:2], rest[2:]
    parts = rest.rstrip("/").split(",")
    first, at, _ = parts[0].rpartition("@")
    servers = [f"{scheme}://{part if '@' in part else f'{first}{at}{part}'}" for part in parts]
    if colon + slashes != "://" or not all(map(_is_server, servers)):
        raise ValueError(
            f"the address of the broker must be {scheme}://HOST:PORT, or several HOST:PORT with"
            " commas; a port is a number up to 65535"
        )
    return servers


def _is_server(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0 and not (parts.path or parts.query)
    except ValueError:
        return False
