from __future__ import annotations

import random

import pytest

from rx_cometd.extensions import z85

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def by_the_book(data: bytes) -> str:
    """RFC 32's arithmetic on one big-endian number per group, CometD's rule for the tail."""
    text = ""
    for start in range(0, len(data), 4):
        group = data[start : start + 4]
        number = int.from_bytes(group.ljust(4, b"\0"), "big")
        digits = [DIGITS[number // 85**power % 85] for power in (4, 3, 2, 1, 0)]
        text += "".join(digits[: len(group) + 1])
    return text


def test_vector_of_the_rfc() -> None:
    assert z85.encode(bytes.fromhex("864FD26FB559F75B")) == "HelloWorld"
    assert z85.decode("HelloWorld") == bytes.fromhex("864FD26FB559F75B")


@pytest.mark.parametrize("length", range(14))
def test_any_length_by_the_book_and_back(length: int) -> None:
    source = random.Random(length)
    for data in (source.randbytes(length), b"\0" * length, b"\xff" * length):
        assert z85.encode(data) == by_the_book(data)
        assert z85.decode(z85.encode(data)) == data


def test_every_byte_and_digit() -> None:
    data = bytes(range(256))
    assert z85.encode(data) == by_the_book(data)
    assert z85.decode(by_the_book(data)) == data
    assert z85.encode(bytearray(data)) == z85.encode(memoryview(data)) == by_the_book(data)


@pytest.mark.parametrize(
    "text",
    ["Hello World", 'Hell"', "Hell~", "Hellö", "H", "HelloW", "#####", "Hello\n", "Hell_"],
)
def test_what_is_no_z85_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        z85.decode(text)
