"""What the pages name is there: attributes, operators, and arguments by their names."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest

import rx_cometd
from rx_cometd import extensions, operators, relay, testing
from tests.project.docs import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What the pages call by these names.
OBJECTS: dict[str, Any] = {
    "client": rx_cometd.Client,
    "channel": rx_cometd.Channel,
    "change": rx_cometd.StateChange,
    "cometd_ops": operators,
    "server.faults": testing.Faults,
    "server": testing.BayeuxServer,
    "proxy": testing.FaultProxy,
    "org": testing.SalesforceOrg,
    "Overflow": rx_cometd.Overflow,
    "ClientState": rx_cometd.ClientState,
    "ConnectionType": rx_cometd.ConnectionType,
}
#: Attributes that look like ours: of Faye's client, and of OpenTelemetry's conventions.
FOREIGN = {
    *("client.addExtension", "client.setHeader", "client.disable", "client.on"),
    *("client.disconnect", "server.address", "server.port"),
}
CALLABLE: dict[str, Any] = {
    name: getattr(module, name)
    for module in (rx_cometd, operators, extensions, testing, relay)
    for name in module.__all__
}
_CODE = re.compile(r"`([^`\n]+)`")
_ATTRIBUTE = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, OBJECTS))})\.(\w+)")
_CALL = re.compile(r"(?<!\.)\b(\w+)\(([^()]*)\)")


def attributes_in(text: str) -> Iterator[tuple[str, str]]:
    for code in _CODE.findall(text):
        yield from _ATTRIBUTE.findall(code)


def arguments_in(text: str) -> Iterator[tuple[str, str]]:
    for code in _CODE.findall(text):
        for function, arguments in _CALL.findall(code):
            if callable(CALLABLE.get(function)):
                for keyword in re.findall(r"\b(\w+)=", arguments):
                    yield function, keyword


def has(owner: Any, name: str) -> bool:
    """Tell whether there is such an attribute, one that only instances have included."""
    return (
        hasattr(owner, name)
        or re.search(rf"^ +{name}: ", owner.__doc__ or "", re.MULTILINE) is not None
    )


def takes(function: Any, keyword: str) -> bool:
    parameters = inspect.signature(function).parameters
    variable = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    options = testing.ServerOptions.__annotations__
    return keyword in parameters or (variable and keyword in options)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    missing = {
        f"{owner}.{name}" for owner, name in attributes_in(text) if not has(OBJECTS[owner], name)
    }
    assert missing <= FOREIGN
    wrong = {f"{f}({k}=)" for f, k in arguments_in(text) if not takes(CALLABLE[f], k)}
    assert wrong == set()


def test_there_is_something_to_look_for() -> None:
    texts = [page.read_text("utf-8") for page in PAGES]
    assert len({name for text in texts for name in attributes_in(text)}) >= 60
    assert len({name for text in texts for name in arguments_in(text)}) >= 25
