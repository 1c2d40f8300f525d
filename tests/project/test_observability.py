"""docs/observability.md names every log line, and the dashboard every metric, that there is."""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path
from typing import NamedTuple

import pytest

import rx_cometd

ROOT = Path(rx_cometd.__file__).parent
DOCS = Path(__file__).parents[2] / "docs" / "observability.md"

#: The command line talks to people, and the embedded server is for tests.
APART = {"cli", "testing"}
LEVELS = {"debug", "info", "warning", "error", "exception", "log"}
RESERVED = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Line(NamedTuple):
    """What is stable of a log line."""

    event: str
    level: str
    fields: frozenset[str]


def is_log_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"_log", "_logger", "logger"}
    )


def log_calls() -> list[tuple[str, ast.Call]]:
    paths = [p for p in sorted(ROOT.rglob("*.py")) if p.relative_to(ROOT).parts[0] not in APART]
    return [
        (f"{path.name}:{node.lineno}", node)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and is_log_call(node)
    ]


CALLS = log_calls()


def line_of(call: ast.Call) -> Line:
    (extra,) = [keyword.value for keyword in call.keywords if keyword.arg == "extra"]
    assert isinstance(extra, ast.Dict)
    keys = [ast.literal_eval(key) for key in extra.keys if key is not None]
    event = ast.literal_eval(extra.values[keys.index("event")])
    assert isinstance(call.func, ast.Attribute)
    level = {"exception": "error", "log": "as chosen"}.get(call.func.attr, call.func.attr)
    return Line(event, level, frozenset(keys) - {"event"})


@pytest.mark.parametrize(("where", "call"), CALLS, ids=[where for where, _ in CALLS])
def test_a_log_line_has_a_name_and_fields_that_logging_takes(where: str, call: ast.Call) -> None:
    line = line_of(call)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", line.event)
    assert not line.fields & RESERVED, where


def test_the_table_is_that_of_the_code() -> None:
    table = DOCS.read_text(encoding="utf-8").partition("| event | level |")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([a-z ]+) \| ([^|]*)\| [^|]+ \|$", table, re.MULTILINE)
    told = {
        Line(event, level, frozenset(re.findall(r"`(\w+)`", fields)))
        for event, level, fields in rows
    }
    assert len(told) == len(rows)
    assert told == {line_of(call) for _, call in CALLS}
