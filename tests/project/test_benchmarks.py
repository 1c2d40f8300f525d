"""The benchmarks run, and say what failed."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.generator import Address
from benchmarks.programs import PROGRAMS, Program
from benchmarks.report import as_json, table
from benchmarks.runs import Outcome, measure
from benchmarks.workloads import GROUPS, Case, Group

NOWHERE = Address("http://127.0.0.1:1/", "https://127.0.0.1:1/", "")
ROOT = Path(__file__).parents[2]


def peer(monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> Case:
    """Make a case of a peer that is a script."""
    monkeypatch.setitem(PROGRAMS, name, Program(lambda: [sys.executable, "-c", script]))
    return Case(name, name, "first")


def test_ratios_are_medians_of_those_of_the_rounds() -> None:
    slow = Outcome("slow", "fast", [{"cpu": 2.0}, {"cpu": 30.0}, {"cpu": 4.0}])
    fast = Outcome("fast", "fast", [{"cpu": 1.0}, {"cpu": 10.0}, {"cpu": 1.0}])
    assert slow.ratio(fast, "cpu") == pytest.approx(1 / 3)
    assert slow.median("cpu") == 4.0


def test_a_peer_that_fails_is_reported_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    says = """print('{"messages": 4, "cpu": 8e-6, "wall": 4e-6}')"""
    cases = (
        peer(monkeypatch, "first", says),
        peer(monkeypatch, "broken", "raise OSError('no such server')"),
        peer(monkeypatch, "silent", "pass"),
    )
    group = Group("g", "A group", cases, {"kind": "receive", "messages": 4})
    outcomes = measure(group, NOWHERE, rounds=2, scale=1.0)
    assert outcomes[0].rounds == [{"cpu": pytest.approx(2.0), "wall": pytest.approx(1.0)}] * 2
    assert outcomes[1].failure == "OSError: no such server"
    assert outcomes[2].failure
    assert "| broken | failed: OSError: no such server |" in table(group, outcomes)
    assert json.loads(json.dumps(as_json([(group, outcomes)])))["groups"][0]["name"] == "g"


def test_every_case_is_compared_with_one_of_its_group() -> None:
    for group in GROUPS:
        labels = [case.label for case in group.cases]
        assert len(set(labels)) == len(labels)
        assert {case.against for case in group.cases} <= set(labels)
        assert {case.program for case in group.cases} <= set(PROGRAMS)


async def test_the_command_measures_ours_beside_the_bare_loop(tmp_path: Path) -> None:
    words = ["flood", "tls", "--rounds", "1", "--scale", "0.001", "--json", str(tmp_path / "out")]
    words += ["--pictures", str(tmp_path / "pictures")]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "failed" not in done.stdout
    groups = json.loads((tmp_path / "out").read_text())["groups"]
    assert [len(case["rounds"]) for group in groups for case in group["cases"]] == [1] * 4
    assert (tmp_path / "pictures" / "flood.svg").read_text().startswith("<?xml")
