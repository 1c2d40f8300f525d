"""Numbers that are missing, repeated or out of order."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from rx_cometd._flow.arguments import check_plain_function, check_positive, told_to
from rx_cometd._flow.observable import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from reactivex import Observable, abc

__all__ = ["Gap", "detect_gaps"]

_T = TypeVar("_T")

_Kind = Literal["missing", "repeated", "reordered"]


class Gap(NamedTuple):
    """What `detect_gaps` noticed."""

    kind: Literal["missing", "repeated", "reordered"]
    """What happened. ``"missing"``: numbers did not come (yet). ``"repeated"``: one came that had
    come before. ``"reordered"``: one came that had been told as missing."""
    first: int
    """The first number concerned."""
    last: int
    """The last number concerned, the same as `first` unless several are missing."""
    key: Hashable
    """The key of the sequence, ``None`` where there is only one."""
    item: Any
    """The item that came; it was let through like any other."""


def detect_gaps(
    sequence: Callable[[Any], int],
    on_gap: Callable[[Gap], object] | abc.ObserverBase[Gap],
    *,
    key: Callable[[Any], Hashable] | None = None,
    max_keys: int = 10_000,
    max_gaps: int = 100,
) -> Callable[[Observable[_T]], Observable[_T]]:
    """Report numbers that are missing, repeated or out of order; let every item through.

    .. marble::
        :alt: detect_gaps

        --1--2-----5------------4---4-------6--|
        [ detect_gaps(number, on_gap) ]
        --1--2-----5------------4---4-------6--|
                   missing 3-4  |   repeated 4
                                reordered 4

    The first item of a sequence says where it begins. ``on_gap`` is called before the item is
    emitted; it may request what is missing (docs/cookbook.md, "Fill gaps").

    Args:
        sequence: Returns the number of an item; the numbers of a sequence increase by one.
        on_gap: Called with each `Gap`, or an observer of them, such as a ``Subject``.
        key: Returns the sequence to which an item belongs; all are one sequence if ``None``.
        max_keys: How many sequences are remembered; beyond that, the one without an item for
            longest is forgotten.
        max_gaps: How many runs of missing numbers are remembered per sequence; a number of a
            forgotten run is reported as repeated when it arrives.

    Errors:
        What ``sequence``, ``key`` or ``on_gap`` raise.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``max_keys`` or ``max_gaps`` is less than 1.

    Example:
        >>> import reactivex
        >>> def show(gap: Gap) -> None:
        ...     print(gap.kind, gap.first, gap.last)
        >>> numbers = reactivex.of(1, 2, 5, 4, 4)
        >>> subscription = numbers.pipe(detect_gaps(lambda n: n, show)).subscribe()
        missing 3 4
        reordered 4 4
        repeated 4 4
    """
    check_plain_function("sequence", sequence)
    tell = told_to("on_gap", on_gap)
    if key is not None:
        check_plain_function("key", key)
    check_positive("max_keys", max_keys)
    check_positive("max_gaps", max_gaps)

    def operator(source: Observable[_T]) -> Observable[_T]:
        def subscribe(
            observer: abc.ObserverBase[_T], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            sequences = _Sequences(max_keys, max_gaps)

            def on_next(item: _T) -> None:
                try:
                    of = None if key is None else key(item)
                    noticed = sequences.of(of).take(sequence(item))
                    if noticed is not None:
                        tell(Gap(*noticed, of, item))
                except Exception as error:
                    observer.on_error(error)
                else:
                    observer.on_next(item)

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return derive(source, subscribe)

    return operator


class _Sequences:
    """The sequences by their key, of a bounded number."""

    def __init__(self, max_keys: int, max_gaps: int) -> None:
        self._max_keys = max_keys
        self._max_gaps = max_gaps
        self._sequences: OrderedDict[Hashable, _Sequence] = OrderedDict()

    def of(self, key: Hashable) -> _Sequence:
        found = self._sequences.get(key)
        if found is None:
            found = self._sequences[key] = _Sequence(self._max_gaps)
            if len(self._sequences) > self._max_keys:
                self._sequences.popitem(last=False)
        else:
            self._sequences.move_to_end(key)
        return found


class _Sequence:
    """Where one sequence is, and which numbers it lacks."""

    __slots__ = ("_max_gaps", "_missing", "_next")

    def __init__(self, max_gaps: int) -> None:
        self._max_gaps = max_gaps
        self._next: int | None = None
        self._missing: list[range] = []

    def take(self, number: int) -> tuple[_Kind, int, int] | None:
        """Take a number, and tell what is wrong with it: the kind, the first, the last."""
        expected = number if self._next is None else self._next
        if number < expected:
            return ("reordered" if self._fill(number) else "repeated"), number, number
        self._next = number + 1
        if number == expected:
            return None
        self._missing.append(range(expected, number))
        del self._missing[: -self._max_gaps]
        return "missing", expected, number - 1

    def _fill(self, number: int) -> bool:
        """Remove a number from those that are missing; tell whether it was one."""
        for index, gap in enumerate(self._missing):
            if number in gap:
                parts = range(gap.start, number), range(number + 1, gap.stop)
                self._missing[index : index + 1] = [part for part in parts if part]
                del self._missing[: -self._max_gaps]
                return True
        return False
