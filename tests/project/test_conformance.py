"""The page on conformance is true, and no case of the checklist is forgotten."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tests.conformance.checklist import (
    CASES,
    ELSEWHERE,
    LEFT_OUT,
    PAGE,
    ROOT,
    outcomes_of,
    page,
    scenarios,
)


def test_the_page_is_up_to_date() -> None:
    """It is made by ``python -m tests.conformance.checklist``, of the tests that passed: so what
    the tests say of themselves passed, with every server."""
    assert PAGE.read_text(encoding="utf-8") == page(scenarios())


def test_every_case_is_tested_or_left_out_for_a_reason() -> None:
    tested = {case for scenario in scenarios() for case in scenario.cases}
    assert list(CASES) == list(range(1, 88))
    assert tested | set(ELSEWHERE) | set(LEFT_OUT) == set(CASES)
    assert not tested & set(LEFT_OUT)


def test_what_is_tested_elsewhere_is_there() -> None:
    for case, path in ELSEWHERE.items():
        assert "def test_" in (ROOT / path).read_text(encoding="utf-8"), case


REPORT = """
<testsuites><testsuite>
<testcase classname="tests.conformance.test_ack" name="test_cut[java-websocket]" />
<testcase classname="tests.conformance.test_ack" name="test_cut[java9-websocket]"><failure />
</testcase>
<testcase classname="tests.conformance.test_ack" name="test_long[plain-java-long-polling]" />
<testcase classname="tests.conformance.test_ack" name="test_long[ack-java-long-polling]"><skipped />
</testcase>
<testcase classname="tests.conformance.test_ack" name="test_full[faye-websocket]"><skipped />
</testcase>
<testcase classname="tests.conformance.test_ack" name="test_long[plain-node-long-polling]" />
<testcase classname="tests.conformance.test_ack" name="test_long[ack-node-long-polling]"><error />
</testcase>
<testcase classname="tests.conformance.test_ack" name="test_without" />
</testsuite></testsuites>
"""


def test_a_case_that_failed_with_a_target_does_not_count_there() -> None:
    scenario = scenarios()[0]
    target = min(scenario.targets, key=str)
    failed = scenario._replace(targets=scenario.targets - {target}, failed=frozenset({target}))
    assert page([scenario]) != page([failed])
    assert page([scenario, failed]) == page([failed, scenario]) != page([scenario, scenario])


def test_a_test_passed_with_a_target_where_all_of_its_parameters_did() -> None:
    assert outcomes_of(ET.fromstring(REPORT)) == {
        ("test_ack.py", "test_cut", "java-websocket"): True,
        ("test_ack.py", "test_cut", "java9-websocket"): False,
        ("test_ack.py", "test_long", "java-long-polling"): True,
        ("test_ack.py", "test_long", "node-long-polling"): False,
    }
