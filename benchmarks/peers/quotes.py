"""The generator's data as types."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pydantic


class StructQuote(msgspec.Struct):
    """The generator's data, for msgspec."""

    symbol: str
    price: float
    volume: int
    side: str


class ModelQuote(pydantic.BaseModel):
    """The generator's data, for pydantic."""

    symbol: str
    price: float
    volume: int
    side: str


TYPES: Final[dict[str, Any]] = {"msgspec": StructQuote, "pydantic": ModelQuote}
"""The types, by the library that they belong to."""
