"""The benchmarks run, and say what failed."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from benchmarks.generator import Address, generator
from benchmarks.page import blocks, fill, names, pictures
from benchmarks.programs import PROGRAMS, Program
from benchmarks.report import Measured, as_json, table
from benchmarks.runs import Outcome, measure, unmeasured
from benchmarks.targets import TARGETS, targets
from benchmarks.workloads import GROUPS, Case, Group

NOWHERE = Address("http://127.0.0.1:1/", "https://127.0.0.1:1/", "")
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"


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
    outcomes = unmeasured(group)
    for _ in range(2):
        measure(group, outcomes, NOWHERE, 1.0)
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


async def test_the_generator_holds_no_connect_that_asks_not_to_be() -> None:
    """Faye's client sends such a connect in one payload with the order that it would wait for."""
    order = {"messages": 2, "per_frame": 2}
    connect = {"channel": "/meta/connect", "id": "2", "advice": {"timeout": 0}}
    push = {"channel": "/push", "id": "3", "data": order}
    with generator() as address:
        async with aiohttp.ClientSession() as http, asyncio.timeout(30):

            async def post(*messages: dict[str, Any]) -> list[dict[str, Any]]:
                async with http.post(address.plain, json=messages) as response:
                    found: list[dict[str, Any]] = await response.json()
                    return found

            await post({"channel": "/meta/handshake", "id": "1"})
            await post({"channel": "/meta/connect", "id": "1"})
            assert [reply["id"] for reply in await post(connect, push)] == ["2", "3"]
            brought = await post({"channel": "/meta/connect", "id": "4"})
    assert ["data" in message for message in brought] == [True, True, False]


def everything(**figures: float) -> Measured:
    """Give a run of all groups, in which all that was measured is the same."""
    return [
        (group, [Outcome(case.label, case.against, [figures]) for case in group.cases])
        for group in GROUPS
    ]


SAME = {"cpu": 2.0, "wall": 3.0, "p50": 1.0, "p99": 4.0, "p99.9": 5.0, "bytes": 2048.0}


def test_the_page_has_a_place_for_all_that_is_measured() -> None:
    page = PAGE.read_text()
    places = names(page)
    assert len(set(places)) == len(places)
    assert set(places) == blocks(as_json(everything(**SAME))).keys()
    assert pictures(page) <= {group.name for group in GROUPS}


def test_figures_are_written_between_their_markers() -> None:
    mark = "<!-- figures: {} -->\n{}<!-- end of figures -->\n"
    page = "before\n" + mark.format("a", "") + mark.format("b", "old\n") + "after\n"
    once = fill(page, {"a": "1\n2", "c": "?"})
    filled = "before\n" + mark.format("a", "\n1\n2\n\n") + mark.format("b", "old\n") + "after\n"
    assert once == filled
    assert fill(fill(page, {"a": "other"}), {"a": "1\n2"}) == filled


def test_a_part_of_a_run_says_nothing_of_the_targets() -> None:
    measured = everything(**SAME)
    assert {"targets", "machine"} <= blocks(as_json(measured)).keys()
    assert blocks(as_json(measured[:2])).keys() == {group.name for group, _ in measured[:2]}


def test_targets_are_told_reached_or_not_by_what_was_measured() -> None:
    rows = targets(everything(**SAME)).splitlines()[2:]
    assert len(rows) == len(TARGETS)
    assert "not measured" not in "".join(rows)
    cells = {row.split(" | ")[0]: row.split(" | ")[1:] for row in rows}
    wanted, measured, obstacle = cells["| receive, 1 a frame, beside the bare loop"]
    assert (wanted, measured) == ("at least 0.8 x", "1.00 x")
    assert obstacle == " |"
    wanted, measured, obstacle = cells["| an idle subscription"]
    assert (wanted, measured) == ("at most 1.2 KB", "**2.00 KB**")
    _, measured, obstacle = cells["| receive, 1 a frame, beside CometD JavaScript"]
    assert measured == "**1.00 x**"
    assert "the clock and the counters" in obstacle


def test_what_failed_has_no_figure_among_the_targets() -> None:
    measured = everything(**SAME)
    for _, outcomes in measured:
        for outcome in outcomes:
            if outcome.label == "CometD JavaScript":
                outcome.rounds.clear()
                outcome.failure = "not there"
    rows = [row for row in targets(measured).splitlines() if "CometD JavaScript" in row]
    assert len(rows) == 4
    assert all("not measured" in row for row in rows)


async def test_the_command_writes_what_was_measured_into_a_page(tmp_path: Path) -> None:
    page, results = tmp_path / "performance.md", tmp_path / "results.json"
    page.write_text(PAGE.read_text())
    results.write_text(json.dumps(as_json(everything(**SAME))))
    words = ["--from", str(results), "--write-docs", str(page)]
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, check=True
    )
    assert done.returncode == 0
    assert "| rx_cometd json | 2.00 | 3.00 | 1.00 x bare json |" in page.read_text()
    shown = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert shown == pictures(page.read_text())


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
