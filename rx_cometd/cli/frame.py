"""Drawing in place on a terminal, without flicker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Frame", "PipeConsole"]


class PipeConsole(Console):
    """A console whose closed pipe is an error of the command, which ends it in order."""

    def on_broken_pipe(self) -> None:
        """Let the error pass: rich would exit with code 1."""
        raise  # noqa: PLE0704 - called by rich where it handles the BrokenPipeError


class Frame:
    """Lines at the bottom of a terminal, drawn over what was drawn before.

    Nothing is erased: lines that changed are written over with their padding, in one write, and
    the others are left alone. A terminal whose width changed is cleared first, for it has
    wrapped what was there.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._drawn: list[list[Segment]] = []
        self._width = console.width

    def draw(self, renderable: RenderableType) -> None:
        """Show something in place of what was shown."""
        console = self._console
        if console.width != self._width:
            self._width = console.width
            self._drawn = []
            console.control(Control.home(), Control.clear())
        lines = console.render_lines(renderable, pad=True)[: console.height - 1]
        segments = self._to_the_top()
        for number, line in enumerate(lines):
            if number >= len(self._drawn) or self._drawn[number] != line:
                segments.extend(line)
            segments.append(Segment.line())
        self._drawn = lines
        console.print(_Segments(segments), end="", soft_wrap=True)

    def _to_the_top(self) -> list[Segment]:
        if not self._drawn:
            return []
        up = Control(ControlType.CARRIAGE_RETURN, (ControlType.CURSOR_UP, len(self._drawn)))
        return [up.segment]


class _Segments:
    """Segments as something that rich prints."""

    def __init__(self, segments: list[Segment]) -> None:
        self._segments = segments

    def __rich_console__(self, *_: object) -> list[Segment]:
        return self._segments
