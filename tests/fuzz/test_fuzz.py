"""Some seconds of fuzzing, a minute in CI, and what is worth a name of its own."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from rx_cometd.exceptions import ProtocolError
from tests.fuzz.mutating import CORPUS, DEPTH
from tests.fuzz.targets import TARGETS, decoded, fuzz_client

if TYPE_CHECKING:
    from collections.abc import Callable


#: Of each of the three.
SECONDS = 20.0 if os.environ.get("CI") else 4.0


@pytest.mark.parametrize("fuzz", [fuzz for fuzz, _ in TARGETS.values()], ids=TARGETS)
def test_whatever_comes(fuzz: Callable[[int], None]) -> None:
    """New cases each second, always in the same order."""
    end, seed = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        fuzz(seed)
        seed += 1
    assert seed > 5


@pytest.mark.parametrize("seed", [3636])
def test_seeds_that_failed(seed: int) -> None:
    """3636: the server of the test took a pong for a payload."""
    fuzz_client(seed)


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_as_it_is(name: str) -> None:
    try:
        messages = decoded(CORPUS[name])
    except ProtocolError:
        messages = []
    assert all(isinstance(message, dict) for message in messages)


@pytest.mark.parametrize("data", ["[" * DEPTH, "[" * DEPTH + "]" * DEPTH, '{"a":' * DEPTH])
def test_a_payload_that_is_too_deep_is_a_protocol_error(data: str) -> None:
    with pytest.raises(ProtocolError):
        decoded(data)
