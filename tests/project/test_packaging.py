"""What is released holds every file once, and says what it should of itself."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import rx_cometd

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(rx_cometd.__file__).parent.parent
VERSION = rx_cometd.__version__

# An installed package without its repository around it has nothing to build.
pytestmark = [
    pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="not in the repository"),
    pytest.mark.timeout(180),
]


class Built(NamedTuple):
    """The distributions, and what the package directory held when they were built."""

    wheel: Path
    sdist: Path
    wheel_of_sdist: Path
    sources: set[str]


def build(source: Path, directory: Path, *options: str) -> None:
    """Build without isolation, and so without a network."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory)]
    outcome = subprocess.run(
        [*command, *options, str(source)], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def package_files() -> set[str]:
    package = ROOT / "rx_cometd"
    return {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    directory = tmp_path_factory.mktemp("dist")
    sources = package_files()
    build(ROOT, directory / "direct", "--wheel")
    # By default, build makes the wheel from the sdist.
    build(ROOT, directory / "released")
    (wheel,) = (directory / "direct").glob("*.whl")
    (sdist,) = (directory / "released").glob("*.tar.gz")
    (wheel_of_sdist,) = (directory / "released").glob("*.whl")
    return Built(wheel, sdist, wheel_of_sdist, sources)


def names_in_wheel(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def names_in_sdist(sdist: Path) -> list[str]:
    with tarfile.open(sdist) as archive:
        assert not [member.name for member in archive if member.issym() or member.islnk()]
        return [member.name for member in archive if member.isfile()]


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"rx_cometd-{VERSION}.dist-info/METADATA").decode()
    return Parser().parsestr(text)


def test_both_wheels_hold_the_package_and_nothing_else_each_file_once(built: Built) -> None:
    for wheel in (built.wheel, built.wheel_of_sdist):
        names = names_in_wheel(wheel)
        assert [name for name, count in Counter(names).items() if count > 1] == []
        assert {n for n in names if not n.startswith(f"rx_cometd-{VERSION}.dist-info/")} == (
            built.sources
        )


def test_the_wheel_of_the_sdist_is_the_wheel(built: Built) -> None:
    with (
        zipfile.ZipFile(built.wheel) as direct,
        zipfile.ZipFile(built.wheel_of_sdist) as released,
    ):
        assert sorted(direct.namelist()) == sorted(released.namelist())
        for name in direct.namelist():
            assert direct.read(name) == released.read(name), name


def test_the_sdist_holds_each_file_once(built: Built) -> None:
    names = names_in_sdist(built.sdist)
    assert [name for name, count in Counter(names).items() if count > 1] == []
    top = f"rx_cometd-{VERSION}"
    inside = {name.removeprefix(f"{top}/") for name in names}
    assert {name for name in inside if name.startswith("rx_cometd/")} == built.sources
    # The link for readers of the repository would hold the operators a second time.
    assert not [name for name in inside if name.startswith("operators/")]
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "PKG-INFO"} <= inside


def test_the_sdist_holds_what_its_tests_need(built: Built) -> None:
    inside = {name.partition("/")[2] for name in names_in_sdist(built.sdist)}
    for part in ("tests", "examples", "docs"):
        files = {
            str(path.relative_to(ROOT)) for path in (ROOT / part).rglob("*.py") if path.is_file()
        }
        assert files <= inside


def test_the_wheel_is_typed_and_licensed(built: Built) -> None:
    names = names_in_wheel(built.wheel)
    assert "rx_cometd/py.typed" in names
    assert f"rx_cometd-{VERSION}.dist-info/licenses/LICENSE" in names


def test_the_metadata(built: Built) -> None:
    metadata = metadata_of(built.wheel)
    assert metadata["Name"] == "rx-cometd"
    assert metadata["Version"] == VERSION
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert {"cli", "redis", "postgres", "test", "dev"} <= set(
        metadata.get_all("Provides-Extra") or []
    )
    required = metadata.get_all("Requires-Dist") or []
    assert [r for r in required if "extra ==" not in r] == [
        "aiohttp<4,>=3.14.2",
        "reactivex<7,>=6.1",
    ]
    assert "Typing :: Typed" in (metadata.get_all("Classifier") or [])


def test_the_entry_points(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        text = archive.read(f"rx_cometd-{VERSION}.dist-info/entry_points.txt").decode()
    assert "rx-cometd = rx_cometd.cli:main" in text
    assert "rx_cometd = rx_cometd.testing.pytest_plugin" in text


def test_the_link_to_the_operators_is_relative() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: the link is for readers of the repository")
    link = ROOT / "operators"
    assert link.is_symlink()
    assert link.readlink() == Path("rx_cometd/operators")


def test_the_changelog_knows_the_version_or_is_unreleased() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog or f"## [{VERSION}]" in changelog


def test_the_citation_has_the_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {VERSION}" in citation


def release(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the release in the clone, without a network."""
    return subprocess.run(
        ["bash", ".ci/release", str(tmp_path / "dist")],
        cwd=tmp_path / "clone",
        env={**os.environ, "PYTHON": sys.executable, "OFFLINE": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the repository, which can be committed to."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: a release is of a commit")
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    return tmp_path / "clone"


def test_a_release_has_nothing_under_unreleased(clone: Path, tmp_path: Path) -> None:
    changelog = clone / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    marker = f"## [{VERSION}]"
    changelog.write_text(text.replace(marker, f"### Added\n\n- Something.\n\n{marker}", 1), "utf-8")
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    subprocess.run(["git", *who, "commit", "-qam", "a change"], cwd=clone, check=True)
    outcome = release(tmp_path)
    assert outcome.returncode == 1
    assert "has lines under Unreleased" in outcome.stderr
    assert not (tmp_path / "dist").exists()


@pytest.mark.usefixtures("clone")
def test_the_release_is_built_twice_with_the_same_result(tmp_path: Path) -> None:
    outcome = release(tmp_path, ALLOW_UNRELEASED="1")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "Nothing was uploaded." in outcome.stdout
    dist = tmp_path / "dist"
    assert {path.suffix for path in dist.iterdir()} >= {".whl", ".gz"}
    provenance = json.loads((dist / "provenance.json").read_text(encoding="utf-8"))
    assert {subject["name"]: subject["digest"]["sha256"] for subject in provenance["subject"]} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in dist.iterdir()
        if path.suffix in (".whl", ".gz")
    }
