"""Who may import whom (docs/design.md, "Layers"): downwards only, and never in a circle."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import rx_cometd

ROOT = Path(rx_cometd.__file__).parent

PUBLIC_FACTS = {"exceptions", "messages", "connection_types", "states", "statistics"}
#: What each part of the package may import of the others, whether at run time or for its types.
MAY_IMPORT = {
    "exceptions": set[str](),
    "messages": set[str](),
    "connection_types": set[str](),
    "statistics": set[str](),
    "states": {"connection_types"},
    "_protocol": PUBLIC_FACTS,
    "_transports": {"exceptions", "connection_types"},
    "_flow": {"_protocol", *PUBLIC_FACTS},
    "operators": {"_flow", "_protocol", "client", *PUBLIC_FACTS},
    "extension": {"_flow", "operators", *PUBLIC_FACTS},
    "extensions": {"_flow", "_protocol", "operators", "extension", *PUBLIC_FACTS},
    "_session": {"_flow", "_protocol", "_transports", "operators", "extension", *PUBLIC_FACTS},
    "channel": {"_flow", "_protocol", "_session", "operators", *PUBLIC_FACTS},
    "client": {
        "_flow",
        "_protocol",
        "_session",
        "_transports",
        "operators",
        "extension",
        "channel",
        *PUBLIC_FACTS,
    },
    # Shares no logic with the client, or it would share its faults: only names of the wire.
    "testing": {"messages", "connection_types"},
    # `_flow` and `_protocol`: the consuming side is a source of its own, which has to hold its
    # messages until they are processed, and to match globs as the client does.
    "relay": {"", "_flow", "_protocol", "operators", "extensions", "testing", *PUBLIC_FACTS},
    "cli": {"", "operators", "extensions", "testing", "relay", "exceptions"},
    "__main__": {"cli"},
}
#: Layer 0 reads no clock, and neither it nor the transports know Rx.
FORBIDDEN = {
    "_protocol": {"asyncio", "time", "reactivex", "aiohttp"},
    "_transports": {"reactivex"},
}
#: Modules may stand on each other this high, the facade and the command line left aside.
MOST_FLOORS = 12


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    "" if name == "__init__" else name: path
    for path in sorted(ROOT.rglob("*.py"))
    for name in [module_name(path)]
}


def part_of(name: str) -> str:
    """Give the part of the package that a module belongs to; ``""`` is the package itself."""
    return name.split(".", 1)[0]


@cache
def imports_of(name: str) -> frozenset[tuple[str, bool]]:
    """Give what a module imports, and whether only for its types."""
    found: set[tuple[str, bool]] = set()

    def visit(node: ast.AST, typing_only: bool) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typing_only = True
        elif isinstance(node, ast.Import):
            found.update((alias.name, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in {name}"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                ours = whole.removeprefix("rx_cometd.") in MODULES
                found.add((whole if ours else node.module or "", typing_only))
        for child in ast.iter_child_nodes(node):
            visit(child, typing_only)

    visit(ast.parse(MODULES[name].read_text(encoding="utf-8")), typing_only=False)
    return frozenset(found)


def ours(name: str, *, typing_too: bool = True) -> set[str]:
    """Give the modules of the package that one of them imports."""
    found = {n for n, typing_only in imports_of(name) if typing_too or not typing_only}
    return {
        n.removeprefix("rx_cometd").removeprefix(".")
        for n in found
        if n == "rx_cometd" or n.startswith("rx_cometd.")
    }


@pytest.mark.parametrize("name", [n for n in MODULES if n], ids=str)
def test_a_module_imports_what_its_part_may(name: str) -> None:
    part = part_of(name)
    for imported in ours(name):
        target = part_of(imported)
        assert target == part or target in MAY_IMPORT[part], f"{name} imports {imported!r}"
    outside = {n.split(".")[0] for n, _ in imports_of(name)}
    assert not outside & FORBIDDEN.get(part, set())


def test_no_module_imports_itself_in_a_circle() -> None:
    below: dict[str, int] = {}

    def climb(name: str, path: tuple[str, ...]) -> int:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in below:
            below[name] = 1 + max((climb(n, (*path, name)) for n in ours(name)), default=0)
        return below[name]

    for name in MODULES:
        climb(name, ())


def test_the_house_is_not_too_high() -> None:
    @cache
    def floor(name: str) -> int:
        return 1 + max((floor(n) for n in ours(name, typing_too=False)), default=0)

    high = {name: floor(name) for name in MODULES if part_of(name) not in {"", "cli", "__main__"}}
    assert max(high.values()) <= MOST_FLOORS, high


def test_the_top_of_the_package_fits_on_one_screen() -> None:
    entries = {p.name for p in ROOT.iterdir() if p.name != "__pycache__"}
    assert len(entries) <= 20, sorted(entries)
    assert {part_of(name) for name in MODULES} - {""} <= set(MAY_IMPORT)
