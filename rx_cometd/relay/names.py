"""Names of relays, in the place of which brokers allow few characters."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

__all__ = ["legal"]

#: What every broker takes for markers and leases: in Kafka a dot and an underscore are the same.
_LEGAL: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


def legal(name: str) -> str:
    """Give a name that every broker allows, another one for every name.

    >>> legal("orders")
    'orders'
    >>> legal("the orders")
    'the_orders-cef8d760'
    """
    if _LEGAL.fullmatch(name):
        return name
    readable = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:100]
    return f"{readable}-{blake2b(name.encode(), digest_size=4).hexdigest()}"
