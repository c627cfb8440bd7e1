"""Where to connect."""

import pytest

from rtnb.address import resolve
from rtnb.errors import InputError


@pytest.mark.parametrize(
    ("url", "becomes", "source"),
    [
        (None, "wss://api.openai.com/v1/realtime?model=m", "openai"),
        ("", "wss://api.openai.com/v1/realtime?model=m", "openai"),
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=m", "openai"),
        ("http://localhost:8000/v1", "ws://localhost:8000/v1/realtime?model=m", "localhost"),
        ("ws://localhost:8000", "ws://localhost:8000/v1/realtime?model=m", "localhost"),
        ("ws://localhost:8000/v1/realtime?model=other", "ws://localhost:8000/v1/realtime?model=other", "localhost"),
        (
            "https://res.openai.azure.com",
            "wss://res.openai.azure.com/openai/v1/realtime?model=m",
            "res.openai.azure.com",
        ),
        (
            "wss://api.openai.com/v1/realtime?intent=transcription",
            "wss://api.openai.com/v1/realtime?intent=transcription",
            "openai",
        ),
        ("wss://api.openai.com/v1/realtime?call_id=rtc_1", "wss://api.openai.com/v1/realtime?call_id=rtc_1", "openai"),
    ],
)
def test_an_address_is_completed(url, becomes, source):
    address = resolve(url, "m")
    assert (address.url, address.source) == (becomes, source)


@pytest.mark.parametrize("url", ["api.openai.com", "ftp://x", "ws://", "localhost:8000"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InputError, match="not a WebSocket address"):
        resolve(url, "m")


def test_the_key_goes_where_the_server_wants_it_and_nowhere_else():
    openai = resolve(None, "m", key="sk-secretsecret")
    azure = resolve("https://res.openai.azure.com", "m", key="0123456789abcdef")
    assert openai.headers == {"Authorization": "Bearer sk-secretsecret"}
    assert azure.headers == {"api-key": "0123456789abcdef"}
    assert "secret" not in repr(openai)
    assert "0123456789abcdef" not in repr(azure)


def test_loopback_goes_past_any_proxy_and_a_joined_call_expects_no_greeting():
    assert resolve("ws://127.0.0.1:1", "m").local
    assert not resolve(None, "m").local
    assert resolve("wss://api.openai.com/v1/realtime?call_id=rtc_1", "m").sideband
