import re

import hypothesis
import pytest
from hypothesis import strategies

from tff_gs.runtime._addresses import WorkerAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address", "target"),
    [
        ("10.0.0.2:8470", ("10.0.0.2", 8470, 1), "10.0.0.2:8470"),
        ("node-1.lab:1*2", ("node-1.lab", 1, 2), "node-1.lab:1"),
        ("[fe80::1]:65535*1024", ("fe80::1", 65535, 1024), "[fe80::1]:65535"),
    ],
)
def test_an_address(text, address, target):
    found = parse_address(text)
    assert found == address
    assert found.target == target
    assert str(found) == text


@hypothesis.given(
    strategies.builds(
        WorkerAddress,
        host=strategies.from_regex(r"[\w.-]+", fullmatch=True, alphabet="ab1.-")
        | strategies.ip_addresses(v=6).map(str),
        port=strategies.integers(1, 65535),
        share=strategies.integers(1, 1024),
    )
)
def test_what_is_written_is_read_back(address):
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":8470",
        "host:",
        "host:0",
        "host:65536",
        "host:99999999999999999999",
        "host:80*0",
        "host:80*1025",
        "host:80*",
        "host:80 ",
        "host:-1",
        "host:8 0",
        "http://host:80",
        "me@host:80",
        "fe80::1:80",
        "[fe80::1:80",
        "host:٣",
        "host\n:80",
    ],
)
def test_what_is_no_address_is_one_sentence(text):
    sentence = (
        "Expected a worker as HOST:PORT or HOST:PORT*SHARE, such as 10.0.0.2:8470 or "
        "10.0.0.2:8470*2, with a port up to 65535 and a share up to 1024, found "
        f"{text!r}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "meant"), [("host", "host:8470"), ("[::1]*2", "[::1]:8470*2")]
)
def test_an_address_without_its_port(text, meant):
    with pytest.raises(ValueError, match=rf"did you mean {re.escape(meant)}\?$"):
        parse_address(text)


@hypothesis.given(strategies.text(alphabet="a1.:[]*-/ @"))
def test_whatever_is_typed_is_read_or_one_sentence(text):
    try:
        assert 1 <= parse_address(text).port <= 65535
    except ValueError as error:
        sentence = str(error)
        if not re.fullmatch(r"Expected a worker .*[.?]", sentence):
            raise
