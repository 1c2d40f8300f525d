"""Each layer imports only downwards (docs/design.md, "Layers")."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rx_cometd

ROOT = Path(rx_cometd.__file__).parent
LAYERS = {
    0: "exceptions channels messages connection_types advice states codec backoff requests "
    "subscriptions reconciliation negotiation credentials refusals outbox outcomes control "
    "pace situation replies protocol",
    1: "transports",
    2: "flow observable delivery operators extension extensions pipeline dispatch",
    4: "testing cli",
}
#: Everything else owns the tasks and timers.
SESSION = 3
FORBIDDEN = {0: {"asyncio", "time", "reactivex", "aiohttp"}, 1: {"reactivex"}}


def layer_of(part: str) -> int:
    return next((n for n, names in LAYERS.items() if part in names.split()), SESSION)


def imports_of(path: Path) -> set[str]:
    """Give what a module imports, for type checking too: a name is a dependency."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in {path}"
            name = node.module or ""
            parts = {f"{name}.{a.name}" for a in node.names} if name == "rx_cometd" else {name}
            found |= parts
    return found


MODULES = sorted(
    path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem != "__init__"
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_downwards(path: Path) -> None:
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    layer = layer_of(part)
    for name in imports_of(path):
        outside, _, rest = name.partition(".")
        if outside != "rx_cometd":
            assert outside not in FORBIDDEN.get(layer, set()), f"{part} imports {name}"
            continue
        imported = rest.split(".")[0]
        assert layer_of(imported) <= layer or imported == part, f"{part} imports {name}"
        if part == "testing":
            assert imported not in {"protocol", "control"}, f"{part} imports {name}"


@pytest.mark.parametrize("name", LAYERS[0].split())
def test_every_module_of_layer_0_is_there(name: str) -> None:
    assert (ROOT / f"{name}.py").exists()
