from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import rx_cometd
from rx_cometd import cli
from tests.integration.cli.commands import COMMAND, ENVIRONMENT

if TYPE_CHECKING:
    from tests.integration.cli.commands import Invocation


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["rx-cometd", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"rx-cometd, version {rx_cometd.__version__}\n"


@pytest.mark.parametrize("name", ["demo", "listen", "publish", "serve"])
async def test_every_command_explains_itself(invoke: Invocation, name: str) -> None:
    outcome = await invoke(name, "--help")
    assert outcome.code == 0
    assert f"Usage: rx-cometd {name}" in outcome.out


async def test_the_commands_are_listed(invoke: Invocation) -> None:
    outcome = await invoke("-h")
    assert outcome.code == 0
    assert "\n  See it work:          rx-cometd demo\n" in outcome.out
    assert "\n    2  wrong usage\n" in outcome.out
    for name in ("demo", "listen", "publish", "serve"):
        assert f"\n  {name} " in outcome.out


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_it_says_how_to_get_it(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [n for n in sys.modules if n.startswith("rx_cometd.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    # What the import system takes for a package that is not there.
    for name in [n for n in sys.modules if n.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert run_main(monkeypatch, "demo") == 1
    error = capsys.readouterr().err
    assert missing in error
    assert "pip install 'rx-cometd[cli]'" in error


def test_other_missing_modules_are_bugs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "rx_cometd.cli.app", raising=False)
    monkeypatch.delitem(sys.modules, "rx_cometd.cli.demo", raising=False)
    monkeypatch.setitem(sys.modules, "rx_cometd.cli.demo", None)
    with pytest.raises(ModuleNotFoundError, match="demo"):
        cli.main()


def test_it_runs_as_a_program() -> None:
    outcome = subprocess.run(
        [*COMMAND, "--version"], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert rx_cometd.__version__ in outcome.stdout
