from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest

from rx_cometd._flow.decoders import decoder_of, path_of


class Leg(msgspec.Struct):
    price: int


class StructOrder(msgspec.Struct):
    legs: list[Leg]


class ModelLeg(pydantic.BaseModel):
    price: int


class ModelOrder(pydantic.BaseModel):
    legs: list[ModelLeg]


@dataclasses.dataclass
class DataOrder:
    legs: list[Leg]


class DictOrder(TypedDict):
    legs: list[Leg]


OBJECTS = {"legs": [{"price": 1}, {"price": 2}]}
LEGS = [Leg(1), Leg(2)]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (StructOrder, StructOrder(LEGS)),
        (ModelOrder, ModelOrder(legs=[ModelLeg(price=1), ModelLeg(price=2)])),
        (pydantic.TypeAdapter(ModelOrder), ModelOrder.model_validate(OBJECTS)),
        (DataOrder, DataOrder(LEGS)),
        (DictOrder, {"legs": LEGS}),
        (StructOrder | None, StructOrder(LEGS)),
        (len, 1),
    ],
)
def test_objects_and_json_give_the_same(target: Any, expected: object) -> None:
    decoder = decoder_of(target)
    assert decoder.of_objects(OBJECTS) == expected
    assert decoder.of_json(msgspec.Raw(msgspec.json.encode(OBJECTS))) == expected


def test_a_function_is_called_with_the_decoded_data() -> None:
    assert decoder_of(Decimal).of_json(msgspec.Raw(b'"1.10"')) == Decimal("1.10")


@pytest.mark.parametrize("target", [StructOrder, ModelOrder])
@pytest.mark.parametrize("raw", [False, True])
def test_errors_say_where(target: Any, raw: bool) -> None:
    decoder = decoder_of(target)
    wrong = {"legs": [{"price": 1}, {"price": "much"}]}
    decode = decoder.of_json if raw else decoder.of_objects
    with pytest.raises(ValueError) as caught:
        decode(msgspec.Raw(msgspec.json.encode(wrong)) if raw else wrong)
    assert path_of(caught.value) == "$.legs[1].price"


def test_other_errors_do_not_say_where() -> None:
    assert path_of(ValueError("no")) is None
