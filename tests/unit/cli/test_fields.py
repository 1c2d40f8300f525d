from __future__ import annotations

from typing import Any

import pytest

from rx_cometd.cli.fields import parse_path, template

MESSAGE: dict[str, Any] = {
    "channel": "/a",
    "data": {"x": [1, {"y.z": "s"}], "price": 2.5, "on": True, "": 0},
}
MESSAGE["data"]["huge"] = 10**30


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("channel", "/a"),
        ("$.channel", "/a"),
        ("$", MESSAGE),
        ("data.x[0]", 1),
        ('data.x[1]["y.z"]', "s"),
        ('data[""]', 0),
        ("data.x[2]", None),
        ("data.x.y", None),
        ("channel[0]", None),
        ("data[0]", None),
        ("none.of.them", None),
    ],
)
def test_paths(path: str, value: Any) -> None:
    assert parse_path(path)(MESSAGE) == value


@pytest.mark.parametrize("path", ["", "a[", "a[x]", "a]", "..", 'a"b"'])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="is no path such as"):
        parse_path(path)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("{channel}", "/a"),
        (r"{channel}\t{data.price}\n", "/a\t2.5\n"),
        (r"\\n", r"\n"),
        ("{{{channel}}}", "{/a}"),
        ("{data.price:6.2f}|", "  2.50|"),
        ("{channel:>4}|", "  /a|"),
        ("{channel:.2f}|", "/a|"),  # a format of numbers, and this is none
        ("{data.price:<5}|", "2.5  |"),
        ("{data.on}", "true"),
        ("{data.none}", "null"),
        ("{data.x}", '[1, {"y.z": "s"}]'),
        ("{data.huge:c}", "1" + 30 * "0"),  # no character is that far
    ],
)
def test_templates(text: str, filled: str) -> None:
    assert template(text)(MESSAGE) == filled


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "}",
        "{a[}",
        "{a",
        "{a!r}",
        "{a:>>>>}",
        "{a:{b}}",
        "{a:99999999999999}",
        "{a:.99999999f}",
    ],
)
def test_what_is_no_template(text: str) -> None:
    with pytest.raises(ValueError):
        template(text)
