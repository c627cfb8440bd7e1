"""Where to connect."""

from pathlib import Path

import pytest

import rtnb
from rtnb import models
from rtnb.errors import InputError
from rtnb.server.llm.remote import Remote
from rtnb.transport.endpoint import resolve


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


HOST = "its host is neither"
PORT = "its port is not a number from 1 to 65535"
SPACE = "it has a space, a backslash or an invisible character in it"
START = "it does not begin with"
MALFORMED = [
    ("ws://127.0.0.1:99999", PORT),
    ("ws://127.0.0.1:65536/v1", PORT),
    ("ws://127.0.0.1:0", PORT),
    ("ws://127.0.0.1:-1", PORT),
    ("ws://127.0.0.1:port", PORT),
    ("ws://127.0.0.1:80:80", PORT),
    ("ws://127.0.0.1:８０", PORT),
    ("ws://127.0.0.1:" + "9" * 5000, PORT),
    ("ws://[::1/v1", HOST),
    ("ws://::1/v1", ""),
    ("ws://[::1]:99999/v1", PORT),
    ("ws://[::g]/v1", HOST),
    ("ws://[1.2.3.4]", HOST),
    ("ws://[]/v1", ""),
    ("ws://]/v1", HOST),
    ("ws://ho st/v1", SPACE),
    ("ws://host/a b", SPACE),
    ("ws://ho\nst/v1", SPACE),
    ("ws://host/v1\r\nX: 1", SPACE),
    ("ws://host/v1\x00", SPACE),
    ("ws://ho\u200bst", SPACE),
    ("ws://ho\u00a0st", SPACE),
    ("ws://host/\ud800", SPACE),
    ("ws://host\\@other/v1", SPACE),
    ("ws://a..b/v1", HOST),
    ("ws://.host/v1", HOST),
    ("ws://ho%73t/v1", HOST),
    ("ws://host*/v1", HOST),
    ("ws://<host>/v1", HOST),
    ("ws://℀.example/v1", HOST),
    ("ws://" + "a" * 64 + ".example", HOST),
    ("ws://" + "a." * 200 + "example", HOST),
    ("ws://" + "a" * 100_000, HOST),
    ("ws://:8000", START),
    ("ws://user:secret@/v1", START),
    ("wss:", START),
    ("wss:/api.openai.com", START),
    ("//api.openai.com", START),
    ("://host", START),
    ("   ", START),
    ("file:///etc/passwd", START),
    ("javascript:alert(1)", START),
    (5, "it is of type int, not text"),
    (True, "it is of type bool, not text"),
    (b"ws://host", "it is of type bytes, not text"),
    (Path("ws://host"), "it is of type PosixPath, not text"),
    (["ws://host"], "it is of type list, not text"),
]


@pytest.mark.parametrize(("url", "why"), MALFORMED, ids=lambda one: repr(one)[:30])
def test_a_malformed_address_is_refused_at_the_call(url, why):
    with pytest.raises(InputError, match=r"^Your url .*is not a WebSocket address: ") as error:
        rtnb.connect(url=url, key="k" * 20)
    assert why in str(error.value)
    assert str(error.value).endswith(
        "Give one like wss://api.openai.com/v1/realtime or ws://localhost:8000/v1/realtime."
    )
    assert len(str(error.value)) < 400
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:99999", "ws://[::1/v1", "ws://ho st", "wss:", 5, b"ws://host"])
@pytest.mark.parametrize(
    "call",
    [
        lambda url: rtnb.ask("Hi", url=url, show=False),
        lambda url: rtnb.transcribe(url=url),
        lambda url: rtnb.translate(url=url, to="es"),
        lambda url: rtnb.map(rtnb.samples()[:1], "What?", url=url, show=False, out=None),
        lambda url: rtnb.call(url=url, show=False),
        lambda url: rtnb.doctor(url=url),
    ],
    ids=["ask", "transcribe", "translate", "map", "call", "doctor"],
)
def test_so_it_is_wherever_one_can_be_given(call, url):
    with pytest.raises(InputError, match=r"^Your url .*is not a WebSocket address: "):
        call(url)


@pytest.mark.parametrize(("url", "why"), MALFORMED, ids=lambda one: repr(one)[:30])
def test_so_is_that_of_a_brain(url, why):
    url = url.replace("ws:", "http:") if isinstance(url, str) else url
    with pytest.raises(InputError, match=r"^Your brain address .*is no http address: ") as error:
        Remote(url, "small", key="sk-not-a-key-at-all")
    assert why in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "ws://me:S3cretS3cret@host:99999",
        "ws://me:S3cret/S3cret@host:0",
        "ws://me:S3c@retS3cret@ho st",
        "ws://S3cretS3cret@:80",
        "ws://me:S3cretS3cret@[::1",
        "ws://host:port/v1?api-key=S3cretS3cret",
        "ws://host:0/v1?model=m&Ocp-Apim-Subscription-Key=S3cretS3cret#x",
        "ws://host:0/v1?access_token=S3cretS3cret&model=m",
        "ftp://host/?sig=S3cretS3cret",
        "ws://host:0/sk-S3cretS3cret",
    ],
)
def test_a_refused_address_shows_nothing_secret(url):
    with pytest.raises(InputError) as error:
        rtnb.connect(url=url)
    assert "S3c" not in str(error.value) + repr(vars(error.value))
    assert "ret" not in str(error.value).replace("secret", "").split("Give")[0]


@pytest.mark.parametrize(
    "url",
    [
        "ws://localhost",
        "WS://LOCALHOST:8000/v1",
        "ws://my_server:8000/v1",
        "wss://xn--bcher-kva.example/v1",
        "wss://bücher.example/v1",
        "wss://例子.测试/v1",
        "ws://[::1]:8000/v1",
        "ws://[fe80::1%25eth0]:8000/v1",
        "ws://10.0.0.1:65535",
        "ws://host.:1/v1",
        " ws://host/v1\n",
        "ws://host/路径?model=m",
        "ws://host/v1?x=" + "a" * 5000,
    ],
)
def test_unusual_addresses_that_work_are_taken(url):
    assert resolve(url, "m").url.startswith(("ws://", "wss://"))


def test_a_name_and_password_or_a_key_in_an_address_reach_its_server_and_nobody_else():
    address = resolve("wss://me:S3cret@host/v1/realtime?api-key=S3cret&model=m", None)
    assert address.reveal() == "wss://me:S3cret@host/v1/realtime?api-key=S3cret&model=m"
    assert address.url == "wss://…@host/v1/realtime?api-key=…&model=m"
    assert "S3cret" not in repr(address) + repr(vars(address))


@pytest.mark.parametrize(
    "url",
    ["wss://api.openai.com:x@other.example/v1", "https://r.openai.azure.com:@other.example", "ws://a:8765:@o.example"],
)
def test_a_name_that_looks_like_a_host_brings_no_key_to_another(url):
    assert models.provider_of(url).name == "other"


@pytest.mark.parametrize("url", [5, b"ws://host", Path("ws://host")])
def test_the_kind_of_server_is_told_from_text_alone(url):
    with pytest.raises(InputError, match="not text"):
        models.provider_of(url)


def test_the_key_goes_where_the_server_wants_it_and_nowhere_else():
    openai = resolve(None, "m", key="sk-secretsecret")
    azure = resolve("https://res.openai.azure.com", "m", key="0123456789abcdef")
    assert openai.headers() == {"Authorization": "Bearer sk-secretsecret"}
    assert azure.headers() == {"api-key": "0123456789abcdef"}
    assert "secret" not in repr(openai)
    assert "0123456789abcdef" not in repr(azure)


def test_loopback_goes_past_any_proxy_and_a_joined_call_expects_no_greeting():
    assert resolve("ws://127.0.0.1:1", "m").local
    assert not resolve(None, "m").local
    assert resolve("wss://api.openai.com/v1/realtime?call_id=rtc_1", "m").sideband


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_where_an_address_leads_hangs_on_no_key(host):
    for key in (host, "localhost", "127.0.0.1", "realtime?call_id"):
        there = resolve(f"ws://{host}:1/v1/realtime?call_id=rtc_1", "m", key=key)
        assert (there.local, there.sideband) == (True, True)
        assert not resolve("ws://localhost.example:1/v1", "m", key=key).local
    plain = resolve("ws://localhost:1/v1?model=m", None, key="no-key-required")
    assert (plain.url, plain.sideband) == ("ws://localhost:1/v1/realtime?model=m", False)
