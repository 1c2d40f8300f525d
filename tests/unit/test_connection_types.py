from __future__ import annotations

from rx_cometd.connection_types import ConnectionType


def test_connection_types_have_their_names_on_the_wire() -> None:
    assert {t.name: str(t) for t in ConnectionType} == {
        "WEBSOCKET": "websocket",
        "LONG_POLLING": "long-polling",
    }
    assert ConnectionType("websocket") is ConnectionType.WEBSOCKET
