"""The ``state-machine`` directive: the states of a client, drawn from `rx_cometd.states`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import Directive
from marble import TIP, picture

from rx_cometd.states import TRANSITIONS, ClientState

if TYPE_CHECKING:
    from sphinx.application import Sphinx

WIDTH, HEIGHT = 130, 34
#: Where each state stands; which arrows there are is the table's to say.
PLACES = {
    ClientState.DISCONNECTED: (90, 140),
    ClientState.HANDSHAKING: (300, 30),
    ClientState.CONNECTING: (530, 60),
    ClientState.CONNECTED: (605, 175),
    ClientState.UNCONNECTED: (530, 300),
    ClientState.REHANDSHAKING: (310, 375),
    ClientState.DISCONNECTING: (90, 300),
}


def _edge(x: float, y: float, toward: tuple[float, float]) -> tuple[float, float]:
    """Give where the line from the middle of a box towards a point leaves the box."""
    dx, dy = toward[0] - x, toward[1] - y
    across = (WIDTH / 2 + 3) / abs(dx) if dx else math.inf
    down = (HEIGHT / 2 + 3) / abs(dy) if dy else math.inf
    scale = min(across, down)
    return x + dx * scale, y + dy * scale


def _arrow(start: ClientState, end: ClientState) -> str:
    (x1, y1), (x2, y2) = PLACES[start], PLACES[end]
    if start is end:
        x, y = x1 + WIDTH / 2 - 22, y1 + HEIGHT / 2
        return f'<path class="arrow" d="M{x - 14} {y} c -6 26, 34 26, 28 0"/>'
    # Both ways, side by side: each arrow bends to its own left.
    length = math.hypot(x2 - x1, y2 - y1)
    bend = 14 if start in TRANSITIONS[end] else 0
    mx = (x1 + x2) / 2 + (y2 - y1) / length * bend
    my = (y1 + y2) / 2 - (x2 - x1) / length * bend
    ax, ay = _edge(x1, y1, (mx, my))
    bx, by = _edge(x2, y2, (mx, my))
    return f'<path class="arrow" d="M{ax:.1f} {ay:.1f} Q{mx:.1f} {my:.1f} {bx:.1f} {by:.1f}"/>'


def draw() -> str:
    """Draw the transition table as SVG."""
    pairs = [(start, end) for start, ends in TRANSITIONS.items() for end in ends]
    arrows = sorted(_arrow(start, end) for start, end in pairs)
    size = f'width="{WIDTH}" height="{HEIGHT}" rx="8"'
    boxes = [
        f'<rect class="state" x="{x - WIDTH / 2}" y="{y - HEIGHT / 2}" {size}/>'
        f'<text class="label" x="{x}" y="{y + 4}" text-anchor="middle">{state.name}</text>'
        for state, (x, y) in PLACES.items()
    ]
    return picture(TIP + "".join(arrows + boxes), 680, 420, "the states of a client")


class StateMachine(Directive):
    """``.. state-machine::``, without content."""

    def run(self) -> list[nodes.Node]:
        """Give the picture."""
        return [nodes.raw("", draw(), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("state-machine", StateMachine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
