from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from rx_cometd import ClientState, ConnectionType, StateChange
from rx_cometd.cli.board import LiveBoard, PlainBoard, bars_for, describe, sparkline
from rx_cometd.cli.frame import Frame
from rx_cometd.cli.quotes import Lane, Link, Quote, Row

WS, LP = ConnectionType
STATES = list(ClientState)


def quote(number: int, price: float, *, symbol: str = "ACME", via: ConnectionType = WS) -> Quote:
    return Quote(via, symbol, 100.0, price, number, 0.002)


def connected(via: ConnectionType, *, resumed: bool = False) -> Link:
    return Link(via, StateChange(ClientState.CONNECTED, "abc", via, resumed=resumed))


def console(width: int = 80) -> Console:
    file = io.StringIO()
    return Console(file=file, force_terminal=True, width=width, height=24, color_system=None)


def shown(board: LiveBoard, console: Console) -> list[str]:
    rendered = console.render_lines(board.render(), pad=False)
    return ["".join(segment.text for segment in line) for line in rendered]


def text_of(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([5.0], "▁"),
        ([2.0, 2.0], "▁▁"),
        ([0.0, 7.0], "▁█"),
        ([7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0], "█▇▆▅▄▃▂▁"),
    ],
)
def test_sparkline(values: list[float], drawn: str) -> None:
    assert sparkline(values) == drawn


def test_the_table_shows_the_latest_of_each_symbol_in_order() -> None:
    screen = console()
    with LiveBoard(screen, "the title") as board:
        board.update(connected(WS))
        board.update(Row().after(quote(1, 101.5, symbol="WAYN")))
        row = Row().after(quote(2, 99.0))
        board.update(row)
        board.draw()
        board.update(row.after(quote(3, 98.0)))
        board.draw()
        last = shown(board, screen)
    (acme,) = [line for line in last if "ACME" in line]
    assert acme.split()[:3] == ["ACME", "98.00", "-2.00%"]
    (wayn,) = [line for line in last if "WAYN" in line]
    assert wayn.split()[:3] == ["WAYN", "101.50", "+1.50%"]
    assert last.index(acme) < last.index(wayn)
    (lane,) = [line for line in last if line.startswith("websocket")]
    assert lane.split() == ["websocket", "connected", "0", "0", "0.0", "ms", "0", "0"]
    assert any("websocket: connected, session abc" in line for line in last)


def test_the_table_shows_each_transport() -> None:
    screen = console()
    with LiveBoard(screen, "the title") as board:
        for via in (WS, LP):
            board.update(connected(via))
            lane = Lane()
            for number in (1, 2, 2, 5):
                lane = lane.after(quote(number, 1.0, via=via))
            board.update(lane)
        board.draw()
        lines = shown(board, screen)
    for name in ("websocket", "long-polling"):
        (line,) = [x for x in lines if x.startswith(name)]
        words = line.split()
        assert words[1:3] == ["connected", "3"]
        assert words[4:] == ["2.0", "ms", "2", "1"]


def test_a_full_table_fits_a_small_terminal() -> None:
    screen = console()
    with LiveBoard(screen, "t") as board:
        for via in (WS, LP):
            board.update(connected(via))
        for number in range(10):
            board.update(Row().after(quote(number + 1, 100.0, symbol=f"SYM{number}")))
        for number in range(20):
            board.note(f"note {number}")
        rendered = screen.render_lines(board.render(), pad=False)
    assert len(rendered) <= 23
    text = text_of(screen)
    assert "note 19" in text
    assert "note 14" not in text


@pytest.mark.parametrize(
    ("width", "missing"),
    [
        (80, set[str]()),
        (69, set[str]()),
        (68, {"Delay"}),
        (60, {"Delay", "Trend"}),
        (45, {"Delay", "Trend", "State"}),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_no_number_is_cut(
    width: int, missing: set[str]
) -> None:
    screen = console(width)
    with LiveBoard(screen, "t") as board:
        board.update(connected(LP))
        lane = Lane()
        for number in range(3):
            lane = lane.after(quote(number, 1.0, via=LP))
        lane.received = 12_345
        board.update(lane)
        board.update(Row().after(quote(1, 12345.67, symbol="LONGNAME")))
        text = "\n".join(shown(board, screen))
    for heading in ("Transport", "Quotes", "Lost", "Repeated", "Symbol", "Last", "Change"):
        assert heading in text
    for heading in ("Delay", "State", "Trend"):
        assert (heading in text) == (heading not in missing), heading
    for figure in ("12,345", "12345.67", "+12245.67%"):
        assert figure in text
    assert max(map(len, text.splitlines())) <= width


def test_what_did_not_change_is_not_drawn_again() -> None:
    screen = console()
    frame = Frame(screen)
    frame.draw(Text("one\ntwo\nthree"))
    frame.draw(Text("one\n2\nthree"))
    first, _, second = text_of(screen).partition("\x1b[3A")
    assert [line.rstrip() for line in first.splitlines()] == ["one", "two", "three", ""]
    assert second == "\n2" + " " * 79 + "\n\n"
    assert "\x1b[2K" not in text_of(screen)


def test_a_terminal_that_was_resized_is_drawn_anew() -> None:
    screen = console()
    frame = Frame(screen)
    frame.draw(Text("one\ntwo"))
    screen.width = 40
    frame.draw(Text("one\ntwo"))
    assert text_of(screen).count("one") == 2
    assert "\x1b[2J" in text_of(screen)


def test_bars_are_ascii_where_the_output_is() -> None:
    ascii_ = Console(file=io.TextIOWrapper(io.BytesIO(), "ascii"), width=80)
    board = PlainBoard(ascii_, "title")
    row = Row().after(quote(1, 101.0))
    board.update(row)
    board.draw()
    assert sparkline([1.0, 2.0], bars_for(ascii_)) == "_#"
    assert bars_for(console()) != bars_for(ascii_)


def test_lines_are_printed_of_what_changed_since() -> None:
    out = io.StringIO()
    with PlainBoard(Console(file=out, width=20), "the title") as board:
        board.update(connected(LP))
        row = Row().after(quote(1, 101.0))
        board.update(row)
        board.draw()
        board.draw()
        board.update(Row().after(quote(2, 50.0, symbol="WAYN")))
        board.draw()
        board.update(Lane().after(quote(1, 101.0)))
    lines = [line.split("s  ", 1)[-1] for line in out.getvalue().splitlines()]
    assert lines[:2] == ["the title", "long-polling: connected, session abc"]
    assert lines[2].startswith("ACME     101.00  +1.00%")
    assert lines[3].startswith("WAYN      50.00 -50.00%")
    assert lines[4:] == ["websocket: 1 quotes, 0 lost, 0 repeated"]


@pytest.mark.parametrize("state", STATES)
def test_only_losses_and_returns_are_told(state: ClientState) -> None:
    told = describe(Link(WS, StateChange(state, "abc", WS)))
    expected = {
        ClientState.CONNECTED: "websocket: connected, session abc",
        ClientState.UNCONNECTED: "websocket: link lost, reconnecting",
        ClientState.REHANDSHAKING: "websocket: link lost, reconnecting",
    }
    assert told == expected.get(state)


def test_a_resumed_session_is_told_as_such() -> None:
    assert describe(connected(LP, resumed=True)) == (
        "long-polling: connected, the same session goes on"
    )
