"""Memory stays flat however slow a consumer is: the benchmark of it, made short."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

MESSAGES: Final = 15_000
#: One line of results: server, transport, policy, growth in MB.
_LINE: Final = re.compile(r"^embedded (\S+) (\S+) +(\S+) MB", re.MULTILINE)


def growths(*, bound: int, rate: int, policies: str, transports: str) -> dict[str, float]:
    """Run the benchmark in processes of its own. Gives MB by transport and policy."""
    options = {"messages": MESSAGES, "bound": bound, "rate": rate, "servers": "embedded"}
    options |= {"policies": policies, "transports": transports}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    outcome = subprocess.run(
        [sys.executable, "-m", "benchmarks.slow_consumer", *words],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    found = _LINE.findall(outcome.stdout)
    return {f"{transport} {policy}": float(growth) for transport, policy, growth in found}


@pytest.mark.timeout(240)
@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell as much")
def test_memory_stays_flat() -> None:
    transports = "websocket,long-polling"
    flat = growths(bound=100, rate=15_000, policies="drop_oldest", transports=transports)
    assert flat.keys() == {"websocket DROP_OLDEST", "long-polling DROP_OLDEST"}
    # The gauge shows what would pile up without a bound.
    piled = growths(bound=0, rate=15_000, policies="drop_oldest", transports="websocket")
    assert piled["websocket DROP_OLDEST"] > 8
    assert max(flat.values()) < 8
    assert max(flat.values()) < piled["websocket DROP_OLDEST"] / 2
