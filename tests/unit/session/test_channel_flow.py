"""A channel's view of its client's flow control: the client's, but for whose buffer it is."""

from __future__ import annotations

import pytest

from rx_cometd import Overflow
from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd._session.channel_flow import ChannelFlow
from rx_cometd._session.flow_control import FlowControl
from rx_cometd.connection_types import ConnectionType
from rx_cometd.statistics import Counters


class Agreed:
    def __init__(self, connection_type: ConnectionType) -> None:
        self.connection_type = connection_type
        self.acknowledges = False


def test_a_buffer_is_told_under_the_name_of_its_channel() -> None:
    client = FlowControl(7, Overflow.DROP_OLDEST, Counters())
    buffer = MessageBuffer[int](flow=ChannelFlow(client, "/a/*"))
    other = MessageBuffer[int](flow=client)
    assert [name for name, _ in client.buffers()] == ["/a/*", None]
    buffer.offer(1)
    other.offer(1)
    assert client.pending_count == 2
    buffer.close()
    assert [name for name, _ in client.buffers()] == [None]


def test_the_defaults_are_the_clients() -> None:
    flow = ChannelFlow(FlowControl(7, Overflow.DROP_NEWEST, Counters()), "/a")
    assert (flow.max_pending_count, flow.overflow) == (7, Overflow.DROP_NEWEST)


def test_drops_and_suspensions_are_the_clients() -> None:
    counters = Counters()
    client = FlowControl(1, None, counters)
    resumed: list[bool] = []
    client.begin_session(Agreed(ConnectionType.LONG_POLLING), lambda: resumed.append(True))
    flow = ChannelFlow(client, "/a")
    buffer = MessageBuffer[int](flow=flow)
    buffer.offer(1)
    held_back = [client.suspended]
    buffer.take_nowait()
    held_back.append(client.suspended)
    assert held_back == [True, False]
    assert counters.suspensions == 1
    assert resumed == [True]
    flow.dropped(Overflow.DROP_OLDEST)
    assert counters.drops_by_policy == {"drop_oldest": 1}


@pytest.mark.parametrize("kind", ConnectionType)
def test_whether_the_server_keeps_messages_is_asked_of_the_session(kind: ConnectionType) -> None:
    client = FlowControl(1, None, Counters())
    flow = ChannelFlow(client, "/a")
    assert not flow.lossless
    assert flow.refusal() is None  # not known yet
    client.begin_session(Agreed(kind), lambda: None)
    polling = kind is ConnectionType.LONG_POLLING
    assert flow.lossless == polling
    assert (flow.refusal() is None) == polling
