"""The documentation site: built without a warning, every public name in its reference."""

from __future__ import annotations

import html
import importlib
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [
    "rx_cometd",
    "rx_cometd.operators",
    "rx_cometd.extensions",
    "rx_cometd.testing",
    "rx_cometd.relay",
    "rx_cometd.exceptions",
]
#: Left edge, width and content of a drawing; place and content of a text in it.
_PICTURE = r'<svg class="marble" role="img" viewBox="(\S+) 0 (\S+) [^>]*>(.*?)</svg>'
_TEXT = r'<text x="([0-9.]+)" y="[0-9.]+"(?: text-anchor="(\w+)")?[^>]*>([^<]*)<'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    pages = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(pages)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return pages


def names_in(site: Path) -> set[str]:
    """Read the names that the reference has: Sphinx's inventory, four lines and then zlib."""
    content = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(content).decode().splitlines()
    return {line.split(" ", 1)[0] for line in lines if " py:" in line}


@pytest.mark.timeout(180)
def test_every_public_name_is_in_the_reference(site: Path) -> None:
    last = {name.rpartition(".")[2] for name in names_in(site)}
    for package in PACKAGES:
        public: list[str] = importlib.import_module(package).__all__
        assert public
        assert not set(public) - last - {"__version__"}, package


@pytest.mark.timeout(180)
def test_public_names_in_the_reference_are_links(site: Path) -> None:
    name = r'<code class="xref py py-obj[^>]*><span class="pre">([\w.]+)</span></code>'
    pages = [page.read_text("utf-8") for page in (site / "reference").glob("*.html")]
    linked = [found for page in pages for found in re.findall(rf"<a [^>]*>{name}", page)]
    plain = [found for page in pages for found in re.findall(rf"(?<!>){name}", page)]
    public = {name for package in PACKAGES for name in importlib.import_module(package).__all__}
    assert linked.count("BufferOverflowError") >= 5
    assert not public & set(plain)


@pytest.mark.timeout(180)
def test_links_within_the_site_lead_somewhere(site: Path) -> None:
    links = [
        (page, link)
        for page in site.rglob("*.html")
        for link in re.findall(r'href="([^"#:?]+)(?:[?#][^"]*)?"', page.read_text("utf-8"))
    ]
    broken = [
        f"{p.relative_to(site)}: {link}" for p, link in links if not (p.parent / link).exists()
    ]
    assert links
    assert not broken


@pytest.mark.timeout(180)
def test_pages_and_their_search_work_offline(site: Path) -> None:
    fetched = r'<(?:script|link|img)\b[^>]*(?:src|href)="((?:https?:)?//[^"]*)"'
    for page in site.rglob("*.html"):
        assert re.findall(fetched, page.read_text("utf-8")) == [], page
    # A script, for pages opened from a disk may load no data.
    index = (site / "searchindex.js").read_text("utf-8")
    assert index.startswith("Search.setIndex(")
    assert '"salesforc"' in index  # the stem of the word


@pytest.mark.timeout(180)
def test_diagrams_are_drawn(site: Path) -> None:
    operators = (site / "reference" / "operators.html").read_text("utf-8")
    assert operators.count('<svg class="marble"') >= 12
    # Five policies, and the way of a message with its five steps.
    policies = (site / "slow-consumers.html").read_text("utf-8")
    assert policies.count('<svg class="marble"') >= 6
    flow = policies.split("<title>One message, from socket to observer</title>")[1]
    assert flow.split("</svg>")[0].count('class="state"') == 5


@pytest.mark.timeout(180)
def test_no_picture_cuts_a_text_off(site: Path) -> None:
    pages = [*site.glob("*.html"), site / "reference" / "operators.html"]
    pictures = [
        svg for page in pages for svg in re.findall(_PICTURE, page.read_text("utf-8"), re.DOTALL)
    ]
    assert len(pictures) >= 20
    for left, width, drawn in pictures:
        for x, anchor, text in re.findall(_TEXT, drawn):
            letters = 8 * len(html.unescape(text)) / (2 if anchor == "middle" else 1)
            assert float(x) + letters <= float(left) + float(width), text


def test_every_operator_is_in_a_group() -> None:
    page = (ROOT / "docs" / "reference" / "operators.md").read_text("utf-8")
    operators: list[str] = importlib.import_module("rx_cometd.operators").__all__
    listed = re.findall(r"^   ~rx_cometd\.operators\.(\w+)$", page, re.MULTILINE)
    assert sorted(listed) == sorted(name for name in operators if name[0].islower())
