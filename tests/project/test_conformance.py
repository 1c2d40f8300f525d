"""The page on conformance is true, and no case of the checklist is forgotten."""

from __future__ import annotations

from tests.conformance.checklist import CASES, ELSEWHERE, LEFT_OUT, PAGE, ROOT, page, scenarios


def test_the_page_is_up_to_date() -> None:
    """Made anew with ``python -m tests.conformance.checklist``."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_case_is_tested_or_left_out_for_a_reason() -> None:
    tested = {case for scenario in scenarios() for case in scenario.cases}
    assert list(CASES) == list(range(1, 88))
    assert tested | set(ELSEWHERE) | set(LEFT_OUT) == set(CASES)
    assert not tested & set(LEFT_OUT)


def test_what_is_tested_elsewhere_is_there() -> None:
    for case, path in ELSEWHERE.items():
        assert "def test_" in (ROOT / path).read_text(encoding="utf-8"), case
