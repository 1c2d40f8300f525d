from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from rx_cometd.cli.output import to_json, write_stdout


def test_what_is_nested_too_deeply_is_said_to_be() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert to_json(nested) == '"(nested too deeply to be shown)"'


async def test_text_is_written_behind_what_was_printed(capfd: pytest.CaptureFixture[str]) -> None:
    sys.stdout.write("printed\n")
    await write_stdout("ü\n")
    assert capfd.readouterr().out == "printed\nü\n"


class Pipe:
    """A pipe in place of standard output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reader, writer = os.pipe()
        self._file = os.fdopen(writer, "w")
        monkeypatch.setattr(sys, "stdout", self._file)

    def close(self) -> None:
        self._file.close()


async def test_a_full_pipe_does_not_stop_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe(monkeypatch)
    text = "x" * 1_000_000 + "\n"  # more than a pipe holds
    writing = asyncio.create_task(write_stdout(text))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not writing.done()
    received = b""
    while len(received) < len(text):
        received += await asyncio.to_thread(os.read, pipe.reader, 65536)
    await writing
    assert received.decode() == text
    os.close(pipe.reader)
    pipe.close()


async def test_a_waiter_that_is_cancelled_leaves_the_writing_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipe = Pipe(monkeypatch)
    text = "x" * 200_000 + "\n"
    writing = asyncio.create_task(write_stdout(text))
    for _ in range(10):
        await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    received = 0
    while received < len(text):
        received += len(await asyncio.to_thread(os.read, pipe.reader, 65536))
    for thread in threading.enumerate():
        if thread.name == "rx-cometd.blocking":
            await asyncio.to_thread(thread.join, 30)
    os.close(pipe.reader)
    pipe.close()


async def test_a_reader_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe(monkeypatch)
    os.close(pipe.reader)
    with pytest.raises(BrokenPipeError):
        await write_stdout("text\n")
    pipe.close()
