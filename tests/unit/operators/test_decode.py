"""`decode`, with the real msgspec and pydantic."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple, TypedDict

import msgspec
import pydantic
import pydantic.dataclasses
import pytest
import reactivex
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import data, decode
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import seen

on_next, on_completed = ReactiveTest.on_next, ReactiveTest.on_completed


class StructQuote(msgspec.Struct):
    price: int


class ModelQuote(pydantic.BaseModel):
    price: int


@dataclasses.dataclass
class DataQuote:
    price: int


@pydantic.dataclasses.dataclass
class CheckedQuote:
    price: int


class DictQuote(TypedDict):
    price: int


def decoded(target: Any, item: Any) -> Any:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(210, item), on_completed(220))
    results = seen(scheduler.start(lambda: source.pipe(decode(target))))
    assert [time for time, _ in results] in ([210], [210, 220])
    return results[0][1]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (StructQuote, StructQuote(1)),
        (ModelQuote, ModelQuote(price=1)),
        (DataQuote, DataQuote(1)),
        (CheckedQuote, CheckedQuote(1)),
        (DictQuote, {"price": 1}),
        (dict[str, int], {"price": 1}),
        (StructQuote | None, StructQuote(1)),
        (pydantic.TypeAdapter(ModelQuote | None), ModelQuote(price=1)),
        (itemgetter("price"), 1),
        (dict[str, Any], {"price": 1}),
    ],
    ids=repr,
)
def test_values_of_each_kind_of_target(target: Any, expected: Any) -> None:
    result = decoded(target, {"price": 1})
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (StructQuote, msgspec.ValidationError),
        (DataQuote, msgspec.ValidationError),
        (list[int], msgspec.ValidationError),
        (ModelQuote, pydantic.ValidationError),
        (CheckedQuote, pydantic.ValidationError),
        (pydantic.TypeAdapter(int), pydantic.ValidationError),
        (itemgetter("missing"), KeyError),
    ],
    ids=repr,
)
def test_what_does_not_fit_is_an_error(target: Any, error: type[Exception]) -> None:
    result = decoded(target, {"price": "high"})
    assert issubclass(result, error)


def test_any_callable_is_called() -> None:
    assert decoded(Decimal, "1.10") == Decimal("1.10")

    class Point(NamedTuple):
        xy: tuple[int, int]

    assert decoded(Point, [1, 2]) == Point([1, 2])  # type: ignore[arg-type]


def test_after_data_it_is_the_data_of_a_message() -> None:
    received: list[StructQuote] = []
    reactivex.of({"channel": "/a", "data": {"price": 1}}).pipe(
        data(), decode(StructQuote)
    ).subscribe(received.append)
    assert received == [StructQuote(1)]


def test_hands_on_the_flow() -> None:
    flow = LocalFlow()
    assert flow_of(with_flow(reactivex.of(1), flow).pipe(decode(str))) is flow


def test_targets_are_checked_when_the_operator_is_made() -> None:
    async def coroutine_function(item: Any) -> Any: ...

    with pytest.raises(TypeError, match="coroutine function"):
        decode(coroutine_function)
    with pytest.raises(TypeError, match="target"):
        decode(1)


WITHOUT = """
import sys, dataclasses
for name in {missing!r}:
    sys.modules[name] = None
from rx_cometd.operators import decode
import reactivex
@dataclasses.dataclass
class Quote:
    price: int
try:
    reactivex.of({{"price": 1}}).pipe(decode(Quote)).subscribe(print)
except TypeError as error:
    print("TypeError:", error)
"""


@pytest.mark.parametrize(
    ("missing", "output"),
    [
        (["msgspec"], "Quote(price=1)"),
        (["pydantic"], "Quote(price=1)"),
        (["msgspec", "pydantic"], "install msgspec or pydantic"),
    ],
)
def test_where_libraries_are_not_installed(missing: list[str], output: str) -> None:
    script = WITHOUT.format(missing=missing)
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert output in result.stdout


def test_nothing_is_imported_until_it_is_needed() -> None:
    script = "import sys, rx_cometd.operators; print({'msgspec', 'pydantic'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert result.stdout.strip() == "set()"
