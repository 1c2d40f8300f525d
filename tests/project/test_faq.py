"""The FAQ is about texts that exist: each heading in it is a text of the code."""

from __future__ import annotations

import ast
import re
from itertools import chain

import pytest

from tests.project.docs import ROOT

PAGE = ROOT / "docs" / "faq.md"
HEADINGS = re.findall(r"^### `(.+)`$", PAGE.read_text("utf-8"), re.MULTILINE)
#: Words that fragments end or begin with, which come from elsewhere.
_GLUE = " :;,."


def texts_of_the_code() -> list[str]:
    """Give the text constants of the package, f-strings as one with ``…`` for what differs."""
    texts: list[str] = []
    for path in (ROOT / "rx_cometd").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                constants = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
                texts.append("".join(map(str, constants)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


TEXTS = texts_of_the_code()


def test_there_are_questions() -> None:
    assert len(HEADINGS) >= 25
    assert len(set(HEADINGS)) == len(HEADINGS)


@pytest.mark.parametrize("heading", HEADINGS)
def test_each_part_of_a_message_is_in_the_code(heading: str) -> None:
    fragments = [part.strip(_GLUE) for part in heading.split("…")]
    missing = [f for f in fragments if f and not any(f in text for text in TEXTS)]
    assert not missing
    # A message of which only a scrap were in the code would be found in anything.
    assert max(map(len, chain(fragments, [""]))) >= 10
