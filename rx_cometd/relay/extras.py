"""What needs a package that is an extra: imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

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
        raise ImportError(
            f"{name} needs the package {error.name}, which is not installed: "
            f"pip install 'rx-cometd[{extra}]'"
        ) from error
