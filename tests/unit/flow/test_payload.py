"""Receipts: who asked to be told of a message is told once, whatever becomes of the payload."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from rx_cometd._flow.payload import Payload, Receipts, claim, has_unclaimed

if TYPE_CHECKING:
    from rx_cometd import Message


def message(data: int) -> Message:
    return {"channel": "/a", "data": data}


def test_several_may_ask_for_one_message() -> None:
    told: list[str] = []
    asked = message(1)
    payload = Payload([asked])
    payload.on_processed(asked, lambda: told.append("first"))
    payload.on_processed(asked, lambda: told.append("second"))
    for callback in payload.processed_callbacks()[id(asked)]:
        callback()
    assert told == ["first", "second"]


def test_a_receipt_moves_to_what_is_there_instead() -> None:
    told: list[str] = []
    old, new, other = message(1), message(2), message(3)
    payload = Payload([old])
    payload.on_processed(old, lambda: told.append("processed"))
    payload.receipts.move(old, new)
    payload.receipts.move(other, old)  # nobody asked for it
    assert set(payload.processed_callbacks()) == {id(new)}


def test_a_part_takes_its_own_and_the_last_part_those_of_the_whole() -> None:
    first, second = message(1), message(2)
    payload = Payload([first, second])
    payload.on_processed(first, lambda: None)
    payload.on_processed(second, lambda: None)
    payload.on_delivered(lambda: None)
    payload.retry({"channel": "/a", "id": "7"})
    part = payload.receipts.take({id(first)}, whole=False)
    assert (set(part.processed), part.delivered) == ({id(first)}, ())
    rest = payload.receipts.take({id(second)}, whole=True)
    assert (set(rest.processed), len(rest.delivered)) == ({id(second)}, 1)
    assert part.retries == rest.retries == {"7"}
    assert not payload.receipts


def test_merged_payloads_owe_what_each_of_them_owed() -> None:
    told: list[str] = []
    shared = message(1)
    one, two = Payload([shared]), Payload([shared])
    one.on_processed(shared, lambda: told.append("one"))
    two.on_processed(shared, lambda: told.append("two"))
    two.on_delivered(lambda: told.append("delivered"))
    two.retry({"id": "7"})
    one.receipts.add(two.receipts)
    one.receipts.add(one.receipts)  # what is merged with itself owes nothing twice
    one.receipts.settle()
    assert sorted(told) == ["delivered", "one", "two"]
    assert set(one.retries) == {"7"}


def test_what_is_settled_is_told_once() -> None:
    told: list[str] = []
    receipts = Receipts()
    receipts.delivered = (lambda: told.append("delivered"),)
    receipts.processed[1] = (lambda: told.append("processed"),)
    receipts.settle()
    receipts.settle()
    assert told == ["delivered", "processed"]


def test_a_reply_without_an_id_cannot_be_retried() -> None:
    payload = Payload([])
    payload.retry({"channel": "/a", "successful": False})
    assert not payload.retries


def test_a_payload_that_no_pipeline_knows_is_noticed_while_it_lives() -> None:
    before = Payload([])
    claim(before)
    assert not has_unclaimed(before.serial)
    made = Payload([])
    assert has_unclaimed(before.serial)
    assert not has_unclaimed(made.serial)  # made before that
    del made
    gc.collect()
    assert not has_unclaimed(before.serial)
