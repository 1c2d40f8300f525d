from __future__ import annotations

import pytest

from tests.integration.cli.commands import Invocation


@pytest.fixture
def invoke(capfd: pytest.CaptureFixture[str]) -> Invocation:
    return Invocation(capfd)
