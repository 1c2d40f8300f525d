"""Builds and installs the real servers and reference clients, once, outside the repository.

An installation is a directory named after a hash of the sources it was made from, so that an edit
makes a new one and nothing is ever rebuilt in place. It lies in `~/.cache/rx_cometd/servers`, or
in `servers` below the directory that `RX_COMETD_CACHE` names.
"""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pytest

Kind = Literal["java", "java9", "node", "faye", "clients", "kafka"]

_SOURCES: Final = Path(__file__).parent
_BUILD_SECONDS: Final = 900

MAVEN: Final = ("mvn", "-q", "-B", "package")
NPM: Final = (
    *("npm", "install", "--no-package-lock", "--no-audit", "--no-fund"),
    *("--omit=dev", "--loglevel=error"),
)


class UnavailableError(Exception):
    """This machine cannot run a server; the text says why."""


@dataclass(frozen=True)
class Recipe:
    """Which folders are put together, what builds them, what runs the outcome."""

    folders: tuple[Path, ...]
    build: tuple[str, ...]
    runtime: str


_RECIPES: Final[dict[Kind, Recipe]] = {
    "java": Recipe((_SOURCES / "java",), MAVEN, "java"),
    # The same sources: its API is that of CometD 8. The Jetty is the one that it was built with.
    "java9": Recipe(
        (_SOURCES / "java",),
        (*MAVEN, "-Dcometd.version=9.0.0", "-Djetty.version=12.1.2"),
        "java",
    ),
    "node": Recipe((_SOURCES / "node", _SOURCES / "shared"), NPM, "node"),
    "faye": Recipe((_SOURCES / "faye", _SOURCES / "shared"), NPM, "node"),
    "clients": Recipe((_SOURCES / "clients",), NPM, "node"),
    "kafka": Recipe((_SOURCES / "kafka",), MAVEN, "java"),
}

KINDS: Final = tuple(_RECIPES)


@functools.cache
def installed(kind: Kind) -> Path:
    """The directory of an installation, made now if there is none.

    Raises:
        UnavailableError: A tool is missing or the build failed.
    """
    return install(kind, _RECIPES[kind])


def install(name: str, recipe: Recipe) -> Path:
    """The directory of an installation by a recipe, made now if there is none.

    Raises:
        UnavailableError: A tool is missing or the build failed.
    """
    _require_tool(recipe.runtime)
    target = _cache() / f"{name}-{_fingerprint(recipe)}"
    with _locked(_cache() / f"{name}.lock"):
        if not target.exists():
            _require_tool(recipe.build[0])
            _build(recipe, target)
    return target


@functools.cache
def available(kind: Kind) -> str | None:
    """Why this machine cannot run `kind`, or None if it can. Installs it if need be."""
    try:
        installed(kind)
    except UnavailableError as failure:
        return str(failure)
    return None


def requires(kind: Kind) -> pytest.MarkDecorator:
    """The mark of tests that need `kind`, for use when a test module is imported.

    Installing may take longer than a test may run, hence at collection. Elsewhere the tests are
    skipped with the reason; with `CI=true` a missing server is a failure.
    """
    reason = available(kind)
    if reason is not None and os.environ.get("CI") == "true":
        pytest.fail(f"{kind}: {reason}", pytrace=False)
    return pytest.mark.skipif(reason is not None, reason=f"{kind}: {reason}")


def _cache() -> Path:
    base = os.environ.get("RX_COMETD_CACHE") or Path.home() / ".cache" / "rx_cometd"
    cache = Path(base) / "servers"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _require_tool(name: str) -> None:
    if shutil.which(name) is None:
        raise UnavailableError(f"no {name} on this machine")


def _files(recipe: Recipe) -> Iterator[tuple[Path, Path]]:
    """Every source file, with its place in the installation."""
    for root in recipe.folders:
        for path in sorted(root.rglob("*")):
            place = path.relative_to(root)
            if path.is_file() and not {"node_modules", "target"} & set(place.parts):
                yield path, place


def _fingerprint(recipe: Recipe) -> str:
    digest = hashlib.sha256(" ".join(recipe.build).encode())
    for path, place in _files(recipe):
        content = path.read_bytes()
        digest.update(f"\n{place.as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Holds a lock that other processes respect: pytest may run in parallel."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(recipe: Recipe, target: Path) -> None:
    """Builds beside the target and moves it there: what exists is complete."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as name:
        directory = Path(name) / "build"
        directory.mkdir()
        for path, place in _files(recipe):
            copy = directory / place
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        try:
            outcome = subprocess.run(
                recipe.build,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as failure:
            raise UnavailableError(f"{recipe.build[0]} took over {_BUILD_SECONDS} s") from failure
        if outcome.returncode != 0:
            tail = outcome.stdout.strip()[-2000:]
            raise UnavailableError(f"{' '.join(recipe.build)} failed: {tail}")
        directory.rename(target)
