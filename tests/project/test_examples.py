"""Every example runs as it is, against the embedded server, and ends by itself."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.project.docs import ROOT
from tests.project.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

#: What each one must have shown, for it to have worked and not only ended.
SHOWN = {
    "auth_jwt": ["100 publishes with a revoked token", "new tokens: 1\n"],
    "chat": ["Bob reads   Alice: Hello!", "Alice reads   Bob: Hi Alice.", "sees    Alice, Bob"],
    "extension_class": ["a friend reads:       Meet me at noon", "sees: Zrrg zr ng abba"],
    "extension_operators": ["/meta/handshake {'desk': 7}", "/orders {'desk': 7}"],
    "latest_quote": ["of ACME", "of GLOB", "of WAYN", "replaced by later ones: "],
    "lossless_slow_consumer": [
        "websocket: 400 of 400, in order: True",
        "long-polling: 400 of 400, in order: True",
    ],
    "merging_channels": ["/stock/ACME:", "/news/sport:", "/news/weather/tomorrow:", "dearer by"],
    "pull_view": ["received the end with 0 more pending", "refused: 403 subscribe_denied"],
    "quickstart": ["observer:", "loop:", "'successful': True"],
    "rx_pipeline": ["ACME:", "GLOB:", "WAYN:", "quotes"],
    "salesforce_replay": ["['O-1', 'O-2', 'O-3']", "after the crash: ['O-4', 'O-5']"],
    "store_to_sqlite": ["stored 1000\n", "in the file: 1000"],
    "web_sse": ["fewer messages: True", "the CometD server has seen: 1\n"],
}

#: The command ``jupyter execute``, of this environment.
_JUPYTER = "import sys, nbclient.cli; sys.exit(nbclient.cli.main())"


def test_all_examples_are_known() -> None:
    assert [path.stem for path in EXAMPLES] == sorted(SHOWN)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path) -> None:
    # Warnings are errors here too. Not in development mode, in which asyncio tells of every
    # slow turn of a busy machine.
    outcome = run_python("-W", "error", str(path), cwd=ROOT)
    assert outcome.stderr == ""
    for text in SHOWN[path.stem]:
        assert text in outcome.stdout


def test_the_notebook_runs_in_jupyter(tmp_path: Path) -> None:
    notebook = ROOT / "examples" / "notebook.ipynb"
    run_python(
        *("-c", _JUPYTER, str(notebook), "--output", str(tmp_path / "run")),
        cwd=ROOT,
        env={**os.environ, "IPYTHONDIR": str(tmp_path)},
    )
    cells = json.loads((tmp_path / "run.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = {cell["id"]: cell["outputs"] for cell in cells if cell["cell_type"] == "code"}
    (seen,) = outputs["look"]
    shown = "".join(seen["data"]["text/plain"])
    assert shown == "[{'price': 98}, {'price': 99}, {'price': 101}]"
    assert "".join(outputs["iterate"][0]["text"]) == "{'price': 102}\n"
    assert not any(output["output_type"] == "error" for told in outputs.values() for output in told)


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads((ROOT / "examples" / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
