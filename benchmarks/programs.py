"""How each peer is started, and what has to be installed for it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.servers.installation import MAVEN, NPM, Recipe, install

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT: Final = Path(__file__).parents[1]
_PEERS: Final = Path(__file__).parent / "peers"

_NODE: Final = Recipe((_PEERS / "node",), NPM, "node")
_JAVA: Final = Recipe((_PEERS / "java",), MAVEN, "java")
_PIP: Final = (
    *(sys.executable, "-m", "pip", "install", "-q", "--target", "lib"),
    "aiocometd-noloop==0.4.9",
)
_AIOCOMETD: Final = Recipe((), _PIP, sys.executable)


@dataclass(frozen=True)
class Program:
    """A program that does tasks.

    Attributes:
        command: Gives its command line, the task left out; installs what is missing.
        warm_up: How many messages come before the measured ones, as a part of these.
        environment: Gives what its environment has beyond this process's.
    """

    command: Callable[[], list[str]]
    warm_up: float = 0.1
    environment: Callable[[], dict[str, str]] = field(default=dict)

    def surroundings(self) -> dict[str, str]:
        """Its whole environment."""
        # Imports are measured as users have them: compiled once, and kept.
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return kept | {"PYTHONPATH": str(_ROOT)} | self.environment()


def _python(module: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", f"benchmarks.peers.{module}"]


def _node(script: str) -> Callable[[], list[str]]:
    return lambda: ["node", str(install("benchmark-node", _NODE) / script)]


def _java() -> list[str]:
    target = install("benchmark-java", _JAVA) / "target"
    path = f"{target}/peer.jar{os.pathsep}{target}/lib/*"
    return ["java", "-Xmx512m", "-Dorg.eclipse.jetty.LEVEL=WARN", "-cp", path, *_MAIN]


_MAIN: Final = ["rxcometd.benchmarks.Peer"]


def _aiocometd_environment() -> dict[str, str]:
    library = install("benchmark-aiocometd", _AIOCOMETD) / "lib"
    return {"PYTHONPATH": f"{library}{os.pathsep}{_ROOT}"}


PROGRAMS: Final = {
    "bare": Program(_python("bare")),
    "rx_cometd": Program(_python("rx")),
    "operators": Program(_python("operators")),
    "imports": Program(_python("imports")),
    "validation": Program(_python("validation")),
    "aiocometd-noloop": Program(_python("aiocometd"), environment=_aiocometd_environment),
    # V8 and the JVM compile what runs often: they get as much again to do so.
    "CometD JavaScript": Program(_node("cometd.js"), warm_up=1.0),
    "Faye": Program(_node("faye.js"), warm_up=1.0),
    "CometD Java": Program(_java, warm_up=1.0),
}
