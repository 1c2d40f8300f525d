from __future__ import annotations

from rx_cometd.messages import Message


def test_a_message_is_a_plain_dictionary_with_hardly_a_field_required() -> None:
    message: Message = {"channel": "/a", "data": None}
    assert type(message) is dict
    assert Message.__required_keys__ <= {"channel"}
    assert Message.__optional_keys__ >= {"data", "id", "clientId", "ext", "advice"}
