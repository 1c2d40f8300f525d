"""Payloads of a corpus, changed at random: some bytes, some values, or pieces of each other."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any, Final, cast

__all__ = ["CORPUS", "HOSTILE", "Mutator"]

#: Whatever once led to a fault is added here, under a name that says what it is.
CORPUS: Final = {
    path.name: path.read_bytes() for path in sorted((Path(__file__).parent / "corpus").iterdir())
}

#: How deep is too deep for a recursive parser.
DEPTH: Final = 100_000

HOSTILE: Final[list[Any]] = [
    *(None, True, False, 0, -1, 2**63, 10**400, 1e308, -1e308, math.nan, math.inf, -math.inf),
    *("", "0", "-1", "x" * 10_000, "\x00", "\ud800", "/", "/*", "/meta/handshake", "/meta/connect"),
    *([], [[]], [None], {}, {"a": {}}, {"channel": {}}, ["/a", "/b"], [1, "1", 1.0]),
    *({"reconnect": "none"}, {"reconnect": 7}, {"interval": "soon"}, {"timeout": -1e308}),
]

_TOKENS: Final = [
    *(b"NaN", b"Infinity", b"1e308", b"-1e999", b"null", b'"', b"[", b"]", b"{", b"}", b",", b":"),
    *(b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\x00", b"9" * 5000),
    *(b"\xef\xbb\xbf", b"[" * DEPTH, b'{"a":' * DEPTH, b"[" * DEPTH + b"]" * DEPTH),
]


class Mutator:
    """Changes payloads, by a seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self._payloads = list(CORPUS.values())

    def payload(self, **names: str) -> bytes:
        """Give a payload.

        Args:
            names: What is put for ``$name`` in a payload of the corpus.
        """
        data = self.dice.choice(self._payloads)
        for name, value in names.items():
            data = data.replace(b"$" + name.encode(), value.encode())
        for _ in range(self.dice.choice([0, 1, 1, 2, 5])):
            data = self.dice.choice([self._values, self._values, self.mangle, self._tokens])(data)
        return data

    def mangle(self, data: bytes) -> bytes:
        """Change, remove or repeat some bytes."""
        if not data:
            return b"\x00"
        begin = self.dice.randrange(len(data))
        end = min(len(data), begin + self.dice.choice([1, 1, 4, 100]))
        changed = bytes(self.dice.randrange(256) for _ in range(end - begin))
        middle = self.dice.choice([changed, b"", data[begin:end] * 2])
        return data[:begin] + middle + data[end:]

    def _tokens(self, data: bytes) -> bytes:
        place = self.dice.randint(0, len(data))
        return data[:place] + self.dice.choice(_TOKENS) + data[place:]

    def _values(self, data: bytes) -> bytes:
        """Replace or add a value somewhere in the JSON."""
        try:
            tree = json.loads(data)
        except (ValueError, RecursionError):
            return self.mangle(data)
        try:
            return json.dumps(self._changed(tree)).encode()
        except RecursionError:
            return data

    def _changed(self, tree: Any) -> Any:
        if self.dice.random() < 0.3 or not tree or not isinstance(tree, dict | list):
            return self.dice.choice(HOSTILE)
        if isinstance(tree, dict):
            fields = cast("dict[str, Any]", tree)
            key = self.dice.choice(list(fields))
            return {**fields, key: self._changed(fields[key])}
        items = list[Any](tree)  # pyright: ignore[reportUnknownArgumentType]
        place = self.dice.randrange(len(items))
        return [*items[:place], self._changed(items[place]), *items[place + 1 :]]
