"""The package aiokafka, which has no types: loaded without the checkers looking into it."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

__all__ = ["admin", "aiokafka", "errors", "partitioner", "sticky"]

aiokafka: Final[Any] = import_module("aiokafka")
admin: Final[Any] = import_module("aiokafka.admin")
errors: Final[Any] = import_module("aiokafka.errors")
partitioner: Final[Any] = import_module("aiokafka.partitioner")
#: Where the assignor is that leaves a partition with who has it.
sticky: Final[Any] = import_module("aiokafka.coordinator.assignors.sticky.sticky_assignor")
