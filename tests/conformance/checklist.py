"""The checklist of the reference implementations, and which of its cases is tested where.

The cases are those of the tests of CometD Java and JavaScript, Faye and cometd-nodejs-server,
numbered for this project. A test says in the first words of its docstring which of them it is
(``Scenario 3``), and with ``needs`` which servers it takes; `tests/project/test_conformance.py`
keeps the page true. ``python -m tests.conformance.checklist`` runs the suite and writes
`docs/conformance.md` of what passed; ``--read`` writes it of what the tests say of themselves.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.conformance.differences import DIFFERENCES, Target, targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CASES", "ELSEWHERE", "LEFT_OUT", "PAGE", "outcomes_of", "page", "scenarios"]

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "conformance.md"

CASES: Final = {
    1: "handshake that cannot be sent",
    2: "handshake whose transport fails",
    3: "handshake denied",
    4: "no transport in common",
    5: "handshake answered 503, with growing delays",
    6: "every new handshake is told",
    7: "second, late handshake reply",
    8: "HTTP status of a failed handshake",
    9: "HTTP status of a failed upgrade",
    10: "handshake reply after `max_network_delay`",
    11: "server down at the start: WebSocket stays enabled",
    12: "proxy that strips `Upgrade`",
    13: "WebSocket preferred, server with long-polling only",
    14: "WebSocket wanted, server with long-polling only",
    15: "server with foreign transports or none",
    16: "hook that changes the address or the transport",
    17: "credentials in the handshake",
    18: "handshake fields asked anew each time",
    19: "closed straight after opening",
    20: "opened twice",
    21: "all transports fail",
    22: "server that never answers the opening",
    23: "WebSocket subprotocol mismatch",
    24: "cookies",
    25: "addresses: query, path",
    26: "failing connects, with growing delays",
    27: "backoff begins anew after a success",
    28: "server restarted",
    29: "closed and opened again",
    30: "restart keeps the transport",
    31: "connect reply after `timeout + max_network_delay`",
    32: "`max_network_delay` at the handshake",
    33: "listener that extends `max_network_delay`",
    34: "exactly one new WebSocket after a silent one",
    35: "one connect outstanding",
    36: "late reply of an earlier connect",
    37: "connect held and renewed",
    38: "offline longer than the advised `maxInterval`",
    39: "session expired",
    40: "network failure, short and long",
    41: "connect answered with HTTP 500",
    42: "somebody else's session",
    43: "several clients of one browser: polling",
    44: "several clients of one browser: not allowed",
    45: "two connects of one client",
    46: "402 without advice",
    47: "one failed connect, then `timeout: 0`",
    48: "redeployment",
    49: "subscribed again after a restart",
    50: "empty response",
    51: "disconnect closes the connection",
    52: "disconnect with a connect that is never answered",
    53: "session of a client that vanished",
    54: "server disconnects, messages first",
    55: "disconnect in observers; disconnect that fails",
    56: "closing fails what waits",
    57: "no message crosses sessions",
    58: "failures and disconnects at the same time",
    59: "closing while publishing",
    60: "publish with the server down",
    61: "subscribe or publish denied",
    62: "extension that drops a message",
    63: "subscriptions and new sessions",
    64: "subscribe and unsubscribe sent once",
    65: "subscribe again after a refusal",
    66: "meta, service and all channels",
    67: "service reply with data, or plain",
    68: "batches before and after the handshake",
    69: "handshake told before connect",
    70: "requests after a failed handshake",
    71: "requests held until there is a session",
    72: "data that is falsy",
    73: "messages that are too large",
    74: "remote calls",
    75: "message without a channel",
    76: "extensions that raise",
    77: "high rates",
    78: "subscriptions in a new session",
    79: "foreign ids in event messages",
    80: "ack: published while offline",
    81: "ack: connect failed, messages again",
    82: "ack: connects overtake each other",
    83: "ack: second connect on another connection",
    84: "messages with the handshake reply",
    85: "messages with connect replies only",
    86: "ack: connections break",
    87: "time synchronisation, binary data",
}

#: Cases that this client cannot have, and why.
LEFT_OUT: Final = {
    16: "There is no such hook: the client falls back over `connection_types` by itself.",
    33: "There is no such listener: a reply that makes progress extends its own time.",
}

#: Cases that take no real server, or more than one can be made to do.
ELSEWHERE: Final = {
    17: "tests/integration/client/test_authentication.py",
    45: "tests/integration/testing/test_connects.py",
    62: "tests/integration/extensions/test_failures.py",
    76: "tests/integration/extensions/test_failures.py",
}

_HEAD: Final = """\
# Conformance

<!-- Made by `python -m tests.conformance.checklist`, of the tests that passed. -->

What the test suites of the reference implementations check of a client, and where this project
checks it: against the embedded server and four real ones, over each transport that they have.
`python -m tests.conformance.checklist` runs it and makes this page: a letter stands where the tests
of the case passed. A server that cannot be run on the machine is skipped, and has none.

| | server |
|---|---|
| E | embedded, `rx_cometd.testing.BayeuxServer` |
| J8 | CometD Java 8.0.10 on Jetty 12.0 |
| J9 | CometD Java 9.0.0 on Jetty 12.1 |
| N | cometd-nodejs-server 1.2 |
| F | Faye 1.4 |

`w` is over WebSocket, `l` over long-polling, `-` where the server has not what the case takes: the
facts are in `tests/conformance/differences.py`. A real server cannot be made to break the rules,
so some cases are the embedded one's alone.

| case | | E | J8 | J9 | N | F | tests |
|---|---|---|---|---|---|---|---|
"""

_FOOT: Final = """
What is beyond the checklist (cuts by the thousand, soak, fuzzing, leaks) is in [Proofs](proofs.md).
"""


class Scenario(NamedTuple):
    """A test of the suite.

    Attributes:
        file: The file that it is in.
        name: Its name.
        cases: The cases that it is of.
        targets: What it is for; after a run, what it passed with.
        failed: What it failed with.
    """

    file: str
    name: str
    cases: frozenset[int]
    targets: frozenset[Target]
    failed: frozenset[Target] = frozenset()


def scenarios() -> list[Scenario]:
    """Read the tests of the suite, in order."""
    return [
        scenario
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
        for scenario in _of_module(path)
    ]


def _of_module(path: Path) -> Iterator[Scenario]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_all = [
        need
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
        for need in _needs(node.value)
    ]
    for node in tree.body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
            cases = _cases(ast.get_docstring(node) or "")
            if cases:
                needs = [need for mark in node.decorator_list for need in _needs(mark)]
                found = targets((*for_all, *needs))
                yield Scenario(path.name, node.name, cases, frozenset(found))


def _needs(tree: ast.expr) -> Iterator[str]:
    """Give the arguments of the marks ``needs`` in an expression."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.needs":
            yield from (str(ast.literal_eval(argument)) for argument in node.args)


def _cases(docstring: str) -> frozenset[int]:
    """Give the numbers in the first words of a docstring, ``Scenarios 3 (starred) and 7:``."""
    if not docstring.startswith("Scenario"):
        return frozenset()
    return frozenset(map(int, re.findall(r"\d+", re.split(r"[:.]", docstring)[0])))


def ran(found: Iterable[Scenario]) -> list[Scenario]:
    """Run the suite; give the scenarios with what they passed and failed with."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        suite = str(Path(__file__).parent)
        pytest = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", suite]
        subprocess.run(pytest, check=False, cwd=ROOT)
        outcomes = outcomes_of(ET.parse(report).getroot())

    def of(scenario: Scenario, *, passed: bool) -> frozenset[Target]:
        key = (scenario.file, scenario.name)
        return frozenset(t for t in scenario.targets if outcomes.get((*key, str(t))) is passed)

    return [
        scenario._replace(
            targets=of(scenario, passed=True),
            failed=of(scenario, passed=False),
        )
        for scenario in found
    ]


def outcomes_of(report: ET.Element) -> dict[tuple[str, str, str], bool]:
    """Tell of each test of each target whether it passed, with all of its parameters.

    What was skipped is not told of: a server that this machine does not have, a size for which
    there was no time.
    """
    outcomes: dict[tuple[str, str, str], bool] = {}
    for case in report.iter("testcase"):
        name, _, parameters = case.get("name", "").partition("[")
        file = case.get("classname", "").rpartition(".")[2] + ".py"
        if case.find("skipped") is not None:
            continue
        bad = any(case.find(kind) is not None for kind in ("failure", "error"))
        for target in targets(()):
            if re.search(rf"(^|-){target}(-|\]|$)", parameters):
                key = (file, name, str(target))
                outcomes[key] = outcomes.get(key, True) and not bad
    return outcomes


def page(found: list[Scenario]) -> str:
    """Make the page of scenarios."""
    rows = [_row(case, found) for case in CASES]
    tested = sum(case not in LEFT_OUT for case in CASES)
    foot = f"\n{tested} of {len(CASES)} cases are tested, {len(LEFT_OUT)} are left out.\n"
    return _HEAD + "".join(rows) + foot + _FOOT


def _row(case: int, found: list[Scenario]) -> str:
    if case in LEFT_OUT:
        return f"| {case} | {CASES[case]} | | | | | | left out: {LEFT_OUT[case]} |\n"
    tests = [scenario for scenario in found if case in scenario.cases]
    where = {target for scenario in tests for target in scenario.targets}
    where -= {target for scenario in tests for target in scenario.failed}
    cells = [_cell(name, where) for name in DIFFERENCES]
    names = [f"`{t.file.removeprefix('test_').removesuffix('.py')}.{t.name}`" for t in tests]
    names += [f"`{ELSEWHERE[case]}`"] if case in ELSEWHERE else []
    return f"| {case} | {CASES[case]} | {' | '.join(cells)} | {', '.join(names)} |\n"


def _cell(server: str, where: set[Target]) -> str:
    over = [target for target in where if target.name == server]
    return "".join(sorted(("w" if t.websocket else "l" for t in over), reverse=True)) or "-"


def main() -> int:
    """Run, and write the page; 1 where a test failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.checklist")
    parser.add_argument("--read", action="store_true", help="run nothing")
    told = parser.parse_args()
    found = scenarios() if told.read else ran(scenarios())
    PAGE.write_text(page(found), encoding="utf-8")
    failed = [(s.name, str(target)) for s in found for target in s.failed]
    for name, target in failed:
        print(f"{name} failed with {target}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
