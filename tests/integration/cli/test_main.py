from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import rx_cometd
from rx_cometd import cli
from rx_cometd.cli.app import app
from rx_cometd.testing import BayeuxServer, ServiceRequest
from tests.integration.cli.commands import COMMAND, ENVIRONMENT, line_from, spawned
from tests.integration.cli.terminal import at_terminal

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.integration.cli.commands import Invocation


COMMANDS = tuple(app.commands)


@pytest.fixture(autouse=True)
def interrupts() -> Generator[None]:
    """Leave Ctrl-C to pytest: behind `main` it ends a program at once."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["rx-cometd", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"rx-cometd, version {rx_cometd.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
async def test_every_command_explains_itself(invoke: Invocation, name: str) -> None:
    outcome = await invoke(name, "--help")
    assert outcome.code == 0
    assert f"Usage: rx-cometd {name}" in outcome.out


async def test_the_commands_are_listed(invoke: Invocation) -> None:
    outcome = await invoke("-h")
    assert outcome.code == 0
    assert "\n  See it work:          rx-cometd demo\n" in outcome.out
    assert "\n    2  wrong usage\n" in outcome.out
    assert "..." not in outcome.out.partition("Commands:")[2]  # no summary is cut
    for name in COMMANDS:
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
    assert "pip install '.[cli]'" in error


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"]])
def test_output_that_cannot_be_written_is_told_in_a_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        outcome = subprocess.run(
            [*COMMAND, *arguments],
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert outcome.returncode == 1
    assert outcome.stderr == "rx-cometd: No space left on device\n"


def test_the_package_runs_as_a_module() -> None:
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-m", "rx_cometd", "--version"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert outcome.stdout == f"rx-cometd, version {rx_cometd.__version__}\n"


def test_what_only_the_screen_needs_is_loaded_by_it_alone() -> None:
    code = "import sys, rx_cometd.cli.app; sys.exit('textual' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True)


def test_an_interrupt_during_the_start_is_quiet() -> None:
    # Interrupted by itself where it imports its commands: that is when it is least prepared.
    code = (
        "import sys, os, signal\n"
        "class Finder:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'click': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from rx_cometd.cli import main; main()\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code, "demo"], env=ENVIRONMENT, capture_output=True, check=False
    )
    assert outcome.returncode == -signal.SIGINT
    assert outcome.stderr == b""


def test_an_interrupt_at_the_end_is_quiet() -> None:
    # Interrupted by itself where Python cleans up behind the command.
    code = (
        "import atexit, os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "from rx_cometd.cli import main; main()\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code, "demo", "--seconds", "0.1"],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert b"0 lost" in outcome.stdout
    assert outcome.returncode == -signal.SIGINT
    assert outcome.stderr == b""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_scripts(shell: str, invoke: Invocation) -> None:
    outcome = await invoke("completion", shell)
    assert outcome.code == 0
    assert f"_RX_COMETD_COMPLETE={shell}_complete" in outcome.out


COMPLETED = pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("rx-cometd lis", {"listen"}),
        ("rx-cometd completion ", {"bash", "zsh", "fish"}),
        ("rx-cometd listen --transport l", {"long-polling"}),
        ("rx-cometd publish --re", {"--reconnect"}),
    ],
)


def with_the_command(directory: Path) -> dict[str, str]:
    """Put this tree's command where a shell finds it; give the variables that tell where."""
    program = directory / "rx-cometd"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return {"PATH": f"{directory}:{ENVIRONMENT['PATH']}", "HOME": str(directory)}


def in_a_shell(directory: Path, *command: str) -> str:
    """Run a shell that finds this tree's command, and give what it prints."""
    outcome = subprocess.run(
        command,
        env={**ENVIRONMENT, **with_the_command(directory)},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return outcome.stdout


@COMPLETED
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes(line: str, completed: set[str], tmp_path: Path) -> None:
    words = line.split(" ")
    script = f"""
        eval "$(rx-cometd completion bash)" || exit 1
        complete -p rx-cometd >/dev/null || exit 2
        COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}
        _rx_cometd_completion rx-cometd
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert set(in_a_shell(tmp_path, "bash", "-c", script).split()) == completed


@COMPLETED
@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes(line: str, completed: set[str], tmp_path: Path) -> None:
    script = f"rx-cometd completion fish | source; complete -C {shlex.quote(line)}"
    told = in_a_shell(tmp_path, "fish", "--no-config", "-c", script).splitlines()
    assert {offer.partition("\t")[0] for offer in told if offer} == completed


@COMPLETED
@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
async def test_zsh_completes(line: str, completed: set[str], tmp_path: Path) -> None:
    """As somebody at a terminal does: zsh completes nowhere else."""
    variables = {**with_the_command(tmp_path), "PS1": "%% ", "TERM": "dumb"}
    async with at_terminal("zsh", "-f", "-i", columns=200, variables=variables) as terminal:
        # The prompt tells that the one before it is done; it is not what was typed.
        terminal.type("autoload -Uz compinit && compinit -u -D && echo lo''aded\n")
        await terminal.until("loaded\r\n")
        terminal.type('eval "$(rx-cometd completion zsh)" && echo rea""dy\n')
        await terminal.until("ready\r\n")
        before = len(terminal.shown)
        terminal.type(f"{line}\t")
        if len(completed) == 1:  # it is put in, with a blank behind
            (word,) = completed
            await terminal.until(f"{line.rpartition(' ')[0]} {word} ")
        else:  # they are listed
            await terminal.until(*completed)
            assert set(terminal.shown[before:].decode().split()) >= completed
        terminal.type("\x15exit\n")
        assert await terminal.end() == 0


def example_of(name: str) -> str:
    """Give the example of a command's help: its indented line."""
    context = click.Context(app.commands[name], info_name=f"rx-cometd {name}")
    lines = app.commands[name].get_help(context).splitlines()
    (example,) = [line.strip() for line in lines if line.startswith(f"  rx-cometd {name}")]
    return example


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"completion", "relay"}))
async def test_the_example_of_each_help_works_when_pasted(name: str) -> None:
    async with BayeuxServer() as server:

        @server.service("/service/echo")
        def echo(request: ServiceRequest) -> object:
            return request.data

        pasted = example_of(name).replace("http://127.0.0.1:8080/cometd", server.url)
        arguments = shlex.split(pasted)[1:]
        if name == "serve":
            arguments += ["--port", "0"]
        async with spawned(*arguments) as process, asyncio.timeout(90):
            if name in {"serve", "demo"}:
                await line_from(process.stdout, lambda line: "http" in line)
                process.send_signal(signal.SIGINT)
            while name == "listen" and process.returncode is None:
                await server.publish("/stock/ACME", {"price": 1})
                await asyncio.sleep(0.05)  # it ends after three
            assert await process.wait() == 0
            assert process.stderr is not None
            assert b"rx-cometd:" not in await process.stderr.read()
