"""The programs of the pages about use pass mypy and pyright, both strict, without a cast."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.project.docs import BLOCKS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

TYPED_PAGES = {"README.md", "guide.md", "cookbook.md", "typing.md"}
PROGRAMS = [block for block in BLOCKS if block.is_program and block.page.name in TYPED_PAGES]

_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT)}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Write each program into a module of its own, named after its page and line."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for block in PROGRAMS:
        name = block.name.lower().replace(".md:", "_line_")
        (folder / f"{name}.py").write_text(block.code, encoding="utf-8")
    return folder


def check(command: list[str], folder: Path) -> None:
    outcome = subprocess.run(
        command, cwd=folder, env=_ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_there_are_programs_on_each_page_and_none_has_a_cast() -> None:
    assert {block.page.name for block in PROGRAMS} == TYPED_PAGES
    for block in PROGRAMS:
        assert not re.search(r"\bcast\(|type: ignore|pyright: ignore", block.code), block.name


@pytest.mark.timeout(300)
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="in the extra dev")
def test_mypy_accepts_them(programs: Path, tmp_path: Path) -> None:
    check(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull),
            *("--cache-dir", str(tmp_path / "cache"), "--follow-imports", "silent", "."),
        ],
        programs,
    )


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    importlib.util.find_spec("pyright") is None, reason="pyright is in the extra dev"
)
def test_pyright_accepts_them(programs: Path) -> None:
    settings = {
        "typeCheckingMode": "strict",
        "extraPaths": [str(ROOT)],
    }
    (programs / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    check([sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", "."], programs)
