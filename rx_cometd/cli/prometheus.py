"""Prometheus's text format, as far as a relay's ``/metrics`` has it.

After "Exposition formats" in the documentation of Prometheus: a sample is
``name{label="value",...} value [timestamp]``; lines that begin with ``#`` are comments.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Sample", "samples"]

_LABEL = r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"'
_LINE = re.compile(rf"([a-zA-Z_:][\w:]*)(?:\{{((?:\s*{_LABEL}\s*,?)*)\s*\}})?\s+(\S+)(?:\s+-?\d+)?")
_ESCAPES = {r"\n": "\n", r"\"": '"', r"\\": "\\"}


class Sample(NamedTuple):
    """A figure, with its name and labels."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples(text: str, prefix: str = "rx_cometd_") -> Iterator[Sample]:
    r"""Give the samples whose names begin with a prefix; what is no sample is left out.

    >>> list(samples('rx_cometd_messages_total{channel="/a"} 3'))
    [Sample(name='rx_cometd_messages_total', labels={'channel': '/a'}, value=3.0)]
    """
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None or not match[1].startswith(prefix):
            continue
        labels = {
            name: re.sub(r"\\.", lambda found: _ESCAPES.get(found[0], found[0]), value)
            for name, value in re.findall(_LABEL, match[2] or "")
        }
        try:
            yield Sample(match[1], labels, float(match[5]))
        except ValueError:
            continue
