"""What makes a pydantic model of JSON, alone: without payloads, channels and observers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import pydantic

from benchmarks.peers.task import Stopwatch, Task, perform

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Quote(pydantic.BaseModel):
    """The generator's data."""

    symbol: str
    price: float
    volume: int
    side: str


class Plain(Quote, cache_strings="none"):
    """The same, without the cache of strings that pydantic keeps for JSON."""


DATA = b'{"symbol":"ACME","price":100.5,"volume":7,"side":"buy"}'


def validator(model: type[pydantic.BaseModel]) -> Any:
    """Give what validates a model, without the looks at options that its methods take."""
    return pydantic.TypeAdapter(model).validator


def decoding(
    loads: Callable[[bytes], Any],
) -> Callable[[Task], Awaitable[dict[str, float]]]:
    """Decode, then validate what was decoded."""
    validate = validator(Quote).validate_python
    return _repeating(lambda: validate(loads(DATA)))


def _repeating(make: Callable[[], Any]) -> Callable[[Task], Awaitable[dict[str, float]]]:
    async def run(task: Task) -> dict[str, float]:
        stopwatch = Stopwatch()
        for _ in range(task.messages):
            make()
        return stopwatch.stop(task.messages)

    return run


def _kinds() -> dict[str, Callable[[Task], Awaitable[dict[str, float]]]]:
    objects, raw = json.loads(DATA), msgspec.Raw(DATA)
    of_json, of_plain = validator(Quote).validate_json, validator(Plain).validate_json
    of_objects, decode = validator(Quote).validate_python, msgspec.json.Decoder().decode
    return {
        "json": decoding(json.loads),
        "orjson": decoding(orjson.loads),
        "msgspec": decoding(decode),
        "validate_json": _repeating(lambda: of_json(DATA)),
        # Typed channels have the JSON of the data as a part of that of the payload.
        "validate_json_raw": _repeating(lambda: of_json(bytes(raw))),
        "validate_json_plain": _repeating(lambda: of_plain(DATA)),
        "validate_python": _repeating(lambda: of_objects(objects)),
        "decode": _repeating(lambda: decode(DATA)),
    }


if __name__ == "__main__":
    perform(_kinds())
