from __future__ import annotations

import pytest

from rx_cometd import InvalidChannelError
from rx_cometd.relay.channels import check_apart


def test_channels_apart_may_be_relayed_together() -> None:
    check_apart(["/a/b", "/a/c", "/b/*", "/b/c/*"])


@pytest.mark.parametrize("channels", [["/a/*", "/a/b"], ["/a/b", "/**"], ["/a/*", "/a/**"]])
def test_an_event_must_not_come_by_two_of_them(channels: list[str]) -> None:
    with pytest.raises(ValueError, match="leave one of them out"):
        check_apart(channels)


def test_names_are_checked() -> None:
    with pytest.raises(InvalidChannelError):
        check_apart(["a"])
