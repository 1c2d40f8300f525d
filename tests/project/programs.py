"""Programs of the documentation and the examples, run in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.project.docs import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def run_python(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 100
) -> subprocess.CompletedProcess[str]:
    """Run Python with this tree, and see that it ends well.

    Args:
        arguments: Those of the interpreter.
        cwd: The working directory.
        env: The environment, beside what makes this tree importable; by default nothing.
        timeout: Seconds that it may take.
    """
    outcome = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**(env or {}), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome
