from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rx_cometd.cli.screen import Messages, TopScreen
from rx_cometd.cli.table import COLUMNS, ChannelTable
from tests.unit.cli.recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0


def screen(channels: int = 6) -> TopScreen:
    return TopScreen(Recorded(channels), HOUR)


def test_channels_80x24(snap_compare: Callable[..., bool]) -> None:
    assert snap_compare(screen(), terminal_size=(80, 24))


def test_channels_160x50(snap_compare: Callable[..., bool]) -> None:
    assert snap_compare(screen(), terminal_size=(160, 50))


def test_messages_80x24(snap_compare: Callable[..., bool]) -> None:
    assert snap_compare(screen(), press=["down", "enter"], terminal_size=(80, 24))


def test_messages_160x50(snap_compare: Callable[..., bool]) -> None:
    assert snap_compare(screen(), press=["down", "enter"], terminal_size=(160, 50))


def text_of(app: TopScreen) -> list[str]:
    table = app.query_one(ChannelTable)
    return [table.render_line(y).text.rstrip() for y in range(table.size.height)]


def names_in(app: TopScreen) -> list[str]:
    return [line.split()[0] for line in text_of(app)[1:] if line]


async def test_sorting_and_reversing() -> None:
    app = screen()
    async with app.run_test(size=(100, 30)) as pilot:
        assert names_in(app)[0] == "/stock/ACME"  # by rate, the highest first
        await pilot.press("r")
        assert names_in(app)[-1] == "/stock/ACME"
        await pilot.press("r", "S")
        assert names_in(app) == sorted(names_in(app))
        await pilot.press(*"s" * (len(COLUMNS) - 1))
        assert names_in(app)[0] == "/orders/eu/42"  # by drops


async def test_a_click_on_a_heading_sorts_by_it() -> None:
    app = screen()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.click(ChannelTable, offset=(3, 0))
        assert names_in(app) == sorted(names_in(app))


async def test_a_click_sorts_by_what_is_seen_where_columns_are_left_out() -> None:
    app = screen()
    async with app.run_test(size=(60, 30)) as pilot:
        heading = app.query_one(ChannelTable).render_line(0).text
        assert "Trend" not in heading
        await pilot.click(ChannelTable, offset=(heading.index("Total"), 0))
        line = app.query_one(ChannelTable).render_line(0)
        (sorted_by,) = [s.text for s in line if s.style is not None and s.style.underline]
        assert sorted_by.strip() == "Total"


async def test_a_filter_shows_what_contains_it() -> None:
    app = screen()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("slash", *"stock", "enter")
        assert len(names_in(app)) == 4
        assert all(name.startswith("/stock/") for name in names_in(app))
        assert isinstance(app.focused, ChannelTable)


async def test_pausing_holds_the_screen_still_while_counting_goes_on() -> None:
    watched = Recorded()
    app = TopScreen(watched, HOUR)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("space")
        watched.activity.count({"channel": "/new", "data": 1})
        await app.tick()
        assert "/new" not in names_in(app)
        await pilot.press("space")
        assert "/new" in names_in(app)


async def test_publishing() -> None:
    watched = Recorded()
    app = TopScreen(watched, HOUR)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("p", "tab", "{", "enter")
        assert watched.published == []
        assert "no JSON" in str(app.screen.query_one("#outcome").render())
        await pilot.press("backspace", "4", "2", "enter")
        await pilot.pause()
        assert watched.published == [("/stock/ACME", 42)]
        assert len(app.screen_stack) == 1


async def test_messages_are_kept_only_while_somebody_looks() -> None:
    watched = Recorded()
    app = TopScreen(watched, HOUR)
    acme = watched.activity.channel("/stock/ACME")
    async with app.run_test(size=(100, 30)) as pilot:
        assert acme.kept is None
        await pilot.press("enter")
        assert isinstance(app.screen, Messages)
        watched.activity.count({"channel": "/stock/ACME", "data": "the newest"})
        await app.tick()
        assert "the newest" in str(app.screen.query_one("#messages").render())
        await pilot.press("escape")
        await pilot.pause()
        assert acme.kept is None


async def test_of_many_channels_only_those_on_the_screen_are_drawn() -> None:
    app = screen(1000)
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(ChannelTable)
        assert len(names_in(app)) == table.size.height - 1
        await pilot.press("end")
        assert table.chosen is not None
        assert names_in(app)[-1] == table.chosen.name
        await pilot.press("home")
        assert names_in(app)[0] == "/stock/ACME"


@pytest.mark.parametrize("width", [30, 45, 60, 80, 160])
async def test_no_figure_is_cut(width: int) -> None:
    app = screen()
    async with app.run_test(size=(width, 24)):
        lines = text_of(app)
        assert max(map(len, lines)) <= width
        (orders,) = [line for line in lines if line.startswith("/order")]
        assert "…" not in orders.split(maxsplit=1)[1]
        told = str(app.query_one("#connection").render()).splitlines()
        assert max(map(len, told)) <= max(width, len("connected over websocket"))
        assert "6 channels" in told[2]
        if width >= 80:
            assert orders.split()[-2:] == ["1.2k", "5"]


@pytest.mark.parametrize("width", [30, 45, 60, 80, 160])
async def test_nothing_is_behind_the_scrollbar(width: int) -> None:
    app = screen(1000)
    async with app.run_test(size=(width, 24)):
        table = app.query_one(ChannelTable)
        assert table.show_vertical_scrollbar
        assert not table.show_horizontal_scrollbar
        assert {len(line.text) for line in map(table.render_line, range(5))} == {
            table.scrollable_size.width
        }
