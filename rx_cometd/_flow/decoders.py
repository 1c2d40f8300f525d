"""What makes typed values of the JSON that messages carry: msgspec, pydantic, or a function."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, get_origin, is_typeddict

from rx_cometd._flow.arguments import check_plain_function
from rx_cometd._protocol.raw_data import data_decoder

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Decoder", "decoder_of", "path_of"]


class Decoder(NamedTuple):
    """How values of one type are made.

    Attributes:
        of_objects: Makes one of what the JSON codec left.
        of_json: Makes one of JSON itself (``msgspec.Raw``).
    """

    of_objects: Callable[[Any], Any]
    of_json: Callable[[Any], Any]


def decoder_of(target: Any, name: str = "target") -> Decoder:
    """Find what makes values of a type; which types are known is in the docstring of `decode`.

    Args:
        target: The type or function.
        name: The name of the argument.

    Raises:
        TypeError: It is neither a type nor a plain function, or a type for which msgspec or
            pydantic would have to be installed.
    """
    # Types of a library exist only where it was imported: looking for it imports nothing.
    pydantic: Any = sys.modules.get("pydantic")
    if pydantic is not None:
        if isinstance(target, pydantic.TypeAdapter):
            return _adapted(target)
        if _is_subclass(target, pydantic.BaseModel):
            return _adapted(pydantic.TypeAdapter(target))
        if pydantic.dataclasses.is_pydantic_dataclass(target):
            return _adapted(pydantic.TypeAdapter(target))
    if _is_annotation(target):
        return _annotated(target)
    if not callable(target):
        raise TypeError(f"{name} must be a type or a function that makes values, not {target!r}")
    check_plain_function(name, target)
    return Decoder(target, _through_objects(target))


def path_of(error: Exception) -> str | None:
    """Tell where in the data a decoder found what does not fit, ``None`` if it does not say.

    ``$`` is the data itself: ``$.legs[0].price``.
    """
    errors = getattr(error, "errors", None)
    if callable(errors):  # pydantic
        found: Any = errors()
        return "$" + "".join(_step(step) for step in found[0]["loc"])
    match = re.search(r" - at `(\$[^`]*)`", str(error))  # msgspec
    return match[1] if match else None


def _step(step: int | str) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"


def _adapted(adapter: Any) -> Decoder:
    # The adapter's own method takes more time to look at its options than to validate, and
    # ``validate_json``, which wants a copy of the JSON, as much as msgspec and ``validate_python``.
    validate = adapter.validator.validate_python
    return Decoder(validate, _through_objects(validate))


def _annotated(target: Any) -> Decoder:
    try:
        import msgspec  # noqa: PLC0415 - an extra
    except ImportError:
        pass
    else:
        return Decoder(partial(msgspec.convert, type=target), msgspec.json.Decoder(target).decode)
    try:
        import pydantic  # noqa: PLC0415 - an extra
    except ImportError:
        raise TypeError(f"to decode {target!r}, install msgspec or pydantic") from None
    return _adapted(pydantic.TypeAdapter(target))


def _through_objects(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make values of JSON by way of plain objects."""
    decode: Callable[[Any], Any] | None = None

    def of_json(raw: Any) -> Any:
        nonlocal decode
        if decode is None:  # msgspec is an extra: that there is such data tells that it is here
            decode = data_decoder()
        return make(decode(raw))

    return of_json


def _is_annotation(target: Any) -> bool:
    """Whether a target says what the values are, rather than how to make them by a call."""
    if get_origin(target) is not None or is_typeddict(target):
        return True
    msgspec: Any = sys.modules.get("msgspec")
    struct = msgspec is not None and _is_subclass(target, msgspec.Struct)
    return struct or (inspect.isclass(target) and dataclasses.is_dataclass(target))


def _is_subclass(target: Any, kind: Any) -> bool:
    return inspect.isclass(target) and issubclass(target, kind)
