"""What needs a package that is an extra: imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from rx_cometd._flow.extras import how_to_install

__all__ = ["load"]

_EXTRAS = {"nats": "nats", "redis": "redis", "aiokafka": "kafka"}


def load(module: str, name: str) -> Any:
    """Import something from a module of this package.

    Raises:
        ImportError: It needs a package that is not installed; the text says which extra has it.
    """
    try:
        return getattr(importlib.import_module(f"rx_cometd.relay.{module}"), name)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        missing = f"{name} needs the package {error.name}, which is not installed"
        raise ImportError(f"{missing}: {how_to_install(extra)}") from error
