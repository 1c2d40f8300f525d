"""Redis and PostgreSQL for the tests of the stores: real servers, on this machine alone."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


_chance = random.SystemRandom()


def find(name: str) -> str:
    """Find a server's program; where it is missing, skip, or fail if CI promised it."""
    found = shutil.which(name)
    for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")):
        found = found or str(path)  # where Debian keeps them, out of the PATH
    if found is None:
        reason = f"{name} is not installed (.ci/install-stores.sh does that)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    """Find a port that nobody has, nor gets while a server that is restarted does not hold it.

    So none of those that the system gives to outgoing connections, as it does if it is asked.
    """
    while True:
        port = _chance.randrange(15_000, 30_000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """A server in a directory of its own, which can be stopped and started again."""

    def __init__(self, directory: Path, user: str | None, ready: Callable[[], object]) -> None:
        self.directory = directory
        self.user = user
        self.command: list[str] = []
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *command: str) -> None:
        """Run a program as the server's user, to its end."""
        subprocess.run(
            command,
            check=True,
            cwd=self.directory,
            user=self.user,
            group=self.user,
            stdout=subprocess.DEVNULL,
        )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, timeout: float = 60) -> None:
        # A test run that is killed takes its servers with it.
        guard = shutil.which("setpriv")
        prefix = [guard, "--pdeathsig", "INT"] if guard else []
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                prefix + self.command,
                cwd=self.directory,
                user=self.user,
                group=self.user,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._ready()
            except (psycopg.OperationalError, redis.RedisError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail((self.directory / "log").read_text())
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@contextmanager
def _directory(user: str | None) -> Generator[Path]:
    # Not pytest's: that one is closed to the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="rx_cometd_") as name:
        if user is not None:
            os.chown(name, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        yield Path(name)


@contextmanager
def run_redis() -> Generator[tuple[Server, str]]:
    """Run a Redis server; gives it and its URL."""
    program, port = find("redis-server"), free_port()
    url = f"redis://127.0.0.1:{port}"

    def ready() -> None:
        with redis.Redis(port=port) as client:
            client.ping()  # pyright: ignore[reportUnknownMemberType]

    with _directory(None) as directory:
        server = Server(directory, None, ready)
        server.command = [
            *(program, "--bind", "127.0.0.1", "--port", str(port)),
            *("--dir", str(directory), "--save", "", "--appendonly", "yes"),
        ]
        server.start()
        try:
            yield server, url
        finally:
            server.stop()


@contextmanager
def run_postgres() -> Generator[tuple[Server, str]]:
    """Run a PostgreSQL server; gives it and the DSN of a superuser."""
    initdb, program, port = find("initdb"), find("postgres"), free_port()
    dsn = f"host=127.0.0.1 port={port} user=rx dbname=postgres connect_timeout=5"
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    with _directory(user) as directory:
        server = Server(directory, user, lambda: psycopg.connect(dsn).close())
        data = str(directory / "data")
        server.run(
            *(initdb, "-D", data, "-A", "trust", "-U", "rx"),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
        )
        server.command = [
            *(program, "-D", data, "-F", "-h", "127.0.0.1", "-p", str(port)),
            *("-c", "unix_socket_directories="),
        ]
        server.start()
        try:
            yield server, dsn
        finally:
            server.stop()
