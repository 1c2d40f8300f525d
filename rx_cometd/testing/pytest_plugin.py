"""The pytest fixture ``bayeux_server``: a running `BayeuxServer`, a new one for each test.

The marker of the same name gives it options::

    @pytest.mark.bayeux_server(timeout=1.0)
    async def test_news(bayeux_server: BayeuxServer) -> None:
        async with Client(bayeux_server.url) as client:
            ...

pytest imports this module at its start, in every project that has rx_cometd installed, and
before pytest-cov measures anything. So it imports the server only when a test asks for it.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rx_cometd.testing.options import ServerOptions
    from rx_cometd.testing.server import BayeuxServer

__all__ = ["pytest_configure"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and the fixture.

    The fixture is made here because pytest warns about plugins, pytest-asyncio among them,
    that another one has imported before they are loaded.
    """
    config.addinivalue_line(
        "markers", "bayeux_server(**options): options of the fixture bayeux_server"
    )
    try:
        import pytest_asyncio  # noqa: PLC0415
    except ImportError:
        made: Any = pytest.fixture(_explain, name="bayeux_server")
    else:
        # Its own decorator works in strict mode, too.
        made = pytest_asyncio.fixture(_serve, name="bayeux_server")
    fixtures = ModuleType("rx_cometd_fixtures")
    vars(fixtures)["bayeux_server"] = made
    config.pluginmanager.register(fixtures)


async def _serve(request: pytest.FixtureRequest) -> AsyncGenerator[BayeuxServer]:
    """Run a `BayeuxServer` for one test."""
    from rx_cometd.testing.server import BayeuxServer  # noqa: PLC0415 - see the module docstring

    node: pytest.Item = cast("Any", request).node  # has no type in pytest 8
    marker = node.get_closest_marker("bayeux_server")
    options = cast("ServerOptions", {} if marker is None else marker.kwargs)
    async with BayeuxServer(**options) as server:
        yield server


def _explain() -> None:
    """Tell what is missing."""
    pytest.fail(
        "the fixture bayeux_server is asynchronous and needs pytest-asyncio:"
        " pip install pytest-asyncio; or write"
        " 'async with rx_cometd.testing.BayeuxServer() as server' in the test",
        pytrace=False,
    )
