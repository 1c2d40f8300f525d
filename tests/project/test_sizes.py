"""Functions and classes keep a size that can be read at one sitting, their own docstring apart.

A docstring is for those who use what it stands in, marble diagram and example included; what is
counted here is what those read who change it.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TypeAlias

import rx_cometd

ROOT = Path(rx_cometd.__file__).parent
LONGEST_FUNCTION = 50
MOST_FUNCTIONS = 25  # nine of ten are no longer
LONGEST_CLASS = 300

Defined: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def lines_of(definition: Defined) -> int:
    """Count the lines of a definition, from its name to its end, without its own docstring."""
    first = definition.body[0]
    documented = ast.get_docstring(definition, clean=False) is not None
    end = definition.end_lineno or definition.lineno
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
    return end - definition.lineno + 1 - docstring


def sizes(*kinds: type[Defined]) -> list[tuple[int, str]]:
    """Give the sizes of all definitions of some kinds, and what they are of."""
    return [
        (lines_of(node), f"{path.relative_to(ROOT)}: {node.name}")
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, kinds)
    ]


FUNCTIONS = ast.FunctionDef, ast.AsyncFunctionDef


def test_no_function_is_too_long() -> None:
    assert [found for found in sizes(*FUNCTIONS) if found[0] > LONGEST_FUNCTION] == []


def test_nine_of_ten_functions_are_short() -> None:
    lengths = sorted(length for length, _ in sizes(*FUNCTIONS))
    assert lengths[len(lengths) * 9 // 10] <= MOST_FUNCTIONS


def test_no_class_is_too_long() -> None:
    assert [found for found in sizes(ast.ClassDef) if found[0] > LONGEST_CLASS] == []


def test_lines_are_counted_as_said() -> None:
    source = 'def f(\n    a: int,\n) -> int:\n    """Say.\n\n    More.\n    """\n    return a\n'
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.FunctionDef)
    assert lines_of(definition) == 4
