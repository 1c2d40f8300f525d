from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rx_cometd._protocol.channel_names import (
    globs,
    is_glob,
    is_meta,
    is_service,
    matches,
    validate_channel,
)
from rx_cometd.exceptions import InvalidChannelError

SEGMENT = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/*"), min_size=1, max_size=5
)
SEGMENTS = st.lists(SEGMENT, min_size=1, max_size=5)
#: Few letters, so that globs and channels meet.
NARROW = st.lists(st.sampled_from("ab"), min_size=1, max_size=4)


def channel_of(segments: list[str]) -> str:
    return "".join(f"/{segment}" for segment in segments)


@pytest.mark.parametrize(
    "channel",
    [
        "/a",
        "/stock/nasdaq/amzn",
        "/*",
        "/**",
        "/a/*",
        "/a/b/**",
        "/meta/connect",
        "/service/echo",
        "/topic/Orders?Amount=1",
        "/data/Case Change:Event.v1",
        "/größe/日本",
        "/-_!~()$@",
    ],
)
def test_names_in_use_are_valid(channel: str) -> None:
    validate_channel(channel)


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        ("", "it must begin with '/'"),
        ("a", "it must begin with '/'"),
        ("*", "it must begin with '/'"),
        ("/", "it has an empty segment"),
        ("//", "it has an empty segment"),
        ("/a/", "it has an empty segment"),
        ("/a//b", "it has an empty segment"),
        ("/a*", "'*' and '**' may only stand alone, as the last segment"),
        ("/a/***", "'*' and '**' may only stand alone, as the last segment"),
        ("/*/a", "'*' and '**' may only stand alone, as the last segment"),
        ("/**/*", "'*' and '**' may only stand alone, as the last segment"),
        ("/a\n", "it has a control character, or a lone surrogate, which has no UTF-8"),
        ("/a\x00b", "it has a control character, or a lone surrogate, which has no UTF-8"),
        ("/\ud800", "it has a control character, or a lone surrogate, which has no UTF-8"),
        ("/a\x7f", "it has a control character, or a lone surrogate, which has no UTF-8"),
    ],
)
def test_impossible_names_are_refused_with_the_reason(channel: str, reason: str) -> None:
    with pytest.raises(InvalidChannelError) as caught:
        validate_channel(channel)
    assert (caught.value.channel, caught.value.reason) == (channel, reason)


@given(SEGMENTS, st.sampled_from(["", "/*", "/**"]))
def test_any_segments_make_a_channel_and_a_glob(segments: list[str], wild: str) -> None:
    validate_channel(channel_of(segments) + wild)
    assert is_glob(channel_of(segments) + wild) is bool(wild)


@given(st.text(max_size=20))
@example("/a" * 5000 + "*")
def test_a_name_is_valid_just_if_each_segment_is(name: str) -> None:
    first, *segments = name.split("/")
    plain = segments[:-1] if segments[-1:] in (["*"], ["**"]) else segments
    sound = all(s and not any(c in "*\x7f" or c < " " for c in s) for s in plain)
    valid = first == "" and bool(segments) and sound
    if valid:
        validate_channel(name)
    else:
        with pytest.raises(InvalidChannelError):
            validate_channel(name)


@pytest.mark.parametrize(
    ("channel", "meta", "service"),
    [
        ("/meta/connect", True, False),
        ("/service/echo", False, True),
        ("/metal/x", False, False),
        ("/meta", False, False),
        ("/a/meta/b", False, False),
        ("/services/x", False, False),
    ],
)
def test_meta_and_service_channels_are_told_by_their_first_segment(
    channel: str, *, meta: bool, service: bool
) -> None:
    assert (is_meta(channel), is_service(channel)) == (meta, service)


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("/a", ("/*", "/**")),
        ("/a/b", ("/a/*", "/a/**", "/**")),
        ("/a/b/c", ("/a/b/*", "/a/b/**", "/a/**", "/**")),
    ],
)
def test_globs_of_a_channel_are_given_the_narrowest_first(
    channel: str, expected: tuple[str, ...]
) -> None:
    assert globs(channel) == expected


def naive_match(pattern: list[str], channel: list[str]) -> bool:
    """Match segment by segment, as the specification says it."""
    if pattern == ["*"]:
        return len(channel) == 1
    if pattern == ["**"]:
        return len(channel) >= 1
    if not pattern or not channel:
        return pattern == channel
    return pattern[0] == channel[0] and naive_match(pattern[1:], channel[1:])


@given(NARROW, st.sampled_from([[], ["*"], ["**"]]), NARROW)
def test_matching_agrees_with_the_naive_matcher(
    pattern: list[str], wild: list[str], channel: list[str]
) -> None:
    expected = naive_match(pattern + wild, channel)
    assert matches(channel_of(pattern + wild), channel_of(channel)) is expected


@given(st.sampled_from(["/*", "/**"]), NARROW)
def test_the_widest_globs_agree_with_the_naive_matcher(pattern: str, channel: list[str]) -> None:
    assert matches(pattern, channel_of(channel)) is naive_match([pattern[1:]], channel)


@given(SEGMENTS)
def test_globs_are_exactly_those_that_match(segments: list[str]) -> None:
    channel = channel_of(segments)
    found = globs(channel)
    assert len(set(found)) == len(found)
    for glob in found:
        validate_channel(glob)
        assert is_glob(glob)
        assert naive_match(glob.split("/")[1:], segments)
    # One `*`, and a `**` for each segment.
    assert len(found) == len(segments) + 1
