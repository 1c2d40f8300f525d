from __future__ import annotations

from rx_cometd import messages
from rx_cometd.messages import Message


def test_the_meta_channels_have_their_names_on_the_wire() -> None:
    assert messages.HANDSHAKE == "/meta/handshake"
    assert messages.CONNECT == "/meta/connect"
    assert messages.SUBSCRIBE == "/meta/subscribe"
    assert messages.UNSUBSCRIBE == "/meta/unsubscribe"
    assert messages.DISCONNECT == "/meta/disconnect"


def test_a_message_is_a_plain_dictionary_with_hardly_a_field_required() -> None:
    message: Message = {"channel": "/a", "data": None}
    assert type(message) is dict
    assert Message.__required_keys__ <= {"channel"}
    assert Message.__optional_keys__ >= {"data", "id", "clientId", "ext", "advice"}
