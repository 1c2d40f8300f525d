"""docs/design.md names every module of the engine, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import rx_cometd

ROOT = Path(rx_cometd.__file__).parent
DESIGN = Path(__file__).parents[2] / "docs" / "design.md"


def test_the_table_of_modules_is_that_of_the_tree() -> None:
    text = DESIGN.read_text(encoding="utf-8")
    table = text.partition("## Modules")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `([a-z_/]+)` \|", table, re.MULTILINE)
    engine = [p for p in ROOT.glob("_[a-z]*/*.py") if p.stem != "__init__"]
    top = [p for p in ROOT.glob("*.py") if not p.stem.startswith("__")]
    there = {str(p.relative_to(ROOT).with_suffix("")) for p in (*engine, *top)}
    assert len(named) == len(set(named))
    assert set(named) == there
