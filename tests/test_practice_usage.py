"""What responses cost: the API's arithmetic, as recorded."""

from __future__ import annotations

import numpy as np
import pytest
from practice_harness import FIRST, MINI, SPEECH, Harness

from rtnb.server.protocol import usage as counting
from rtnb.server.protocol.audio import Decoder, Encoder


def test_audio_is_rounded_down_to_tokens() -> None:
    assert counting.user_audio_tokens(2_796) == 27  # recorded
    assert counting.user_audio_tokens(5_120) == 51  # recorded
    assert counting.assistant_audio_tokens(3_000) == 60  # recorded
    assert counting.assistant_audio_tokens(49) == 0


@pytest.mark.parametrize(
    "text", ["Hello, Marcelo! Great to meet you.", "你好,世界。", "  odd   spaces ", "", "a_b-c\nd"]
)
def test_tokens_joined_are_the_text_again(text: str) -> None:
    assert "".join(counting.split_tokens(text)) == text


def test_every_response_reads_the_whole_conversation_again_and_part_of_it_from_the_cache() -> None:
    harness = Harness(MINI, speech=SPEECH).push_to_talk()
    usages = []
    for _ in range(4):
        harness.append(SPEECH)
        harness.send("input_audio_buffer.commit")
        usages.append(harness.send("response.create")[-1]["response"]["usage"])
    audio_tokens = [usage["input_token_details"]["audio_tokens"] for usage in usages]
    assert audio_tokens == [10, 40, 70, 100]  # a second of the user is 10, a second of the assistant 20
    cached = [usage["input_token_details"]["cached_tokens"] for usage in usages]
    assert cached[0] == 0
    assert cached == sorted(cached)
    assert cached[-1] > 0
    for usage in usages:
        details, wrote = usage["input_token_details"], usage["output_token_details"]
        assert details["cached_tokens"] % 64 == 0
        assert sum(details["cached_tokens_details"].values()) == details["cached_tokens"] <= usage["input_tokens"]
        assert details["text_tokens"] + details["audio_tokens"] + details["image_tokens"] == usage["input_tokens"]
        assert wrote["text_tokens"] + wrote["audio_tokens"] == usage["output_tokens"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert wrote["audio_tokens"] == 20
        assert 0 < wrote["reasoning_tokens"] < wrote["text_tokens"]


def test_1_x_reports_no_reasoning_tokens() -> None:
    harness = Harness(FIRST)
    harness.say("Hello.")
    usage = harness.send("response.create")[-1]["response"]["usage"]
    assert "reasoning_tokens" not in usage["output_token_details"]


def test_more_effort_thinks_longer() -> None:
    harness = Harness(MINI)
    harness.say("Hello.")
    spent = []
    for effort in ("minimal", "high"):
        wanted = {"reasoning": {"effort": effort}}
        usage = harness.send("response.create", response=wanted)[-1]["response"]["usage"]
        spent.append(usage["output_token_details"]["reasoning_tokens"])
    assert spent[0] < spent[1]


def test_rate_limits_count_down() -> None:
    harness = Harness(MINI)
    harness.say("Hello.")
    left = []
    for _ in range(2):
        used = harness.send("response.create")[-1]["response"]["usage"]["total_tokens"]
        (updated,) = harness.wait(0.1)
        (tokens,) = updated["rate_limits"]
        assert tokens["name"] == "tokens"
        left.append((tokens["remaining"], used))
    assert left[0][0] - left[1][0] == left[1][1]


@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
def test_g711_keeps_a_voice_recognisable(law: str) -> None:
    time = np.arange(24_000) / 24_000
    wave = (8_000 * np.sin(2 * np.pi * 440 * time)).astype("<i2")
    encoder, decoder = Encoder({"type": law}), Decoder({"type": law})
    coded = b"".join(encoder.feed(wave[at : at + 999].tobytes()) for at in range(0, 24_000, 999)) + encoder.feed(
        b"", last=True
    )
    assert abs(len(coded) - 8_000) <= 1
    back = np.frombuffer(decoder.feed(coded) + decoder.feed(b"", last=True), "<i2").astype(float)
    size = min(len(back), len(wave))
    spoiled = back[2_000 : size - 2_000] - wave[2_000 : size - 2_000]
    assert 10 * np.log10(np.mean(wave.astype(float) ** 2) / np.mean(spoiled**2)) > 30  # dB


@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
def test_g711_codes_are_the_standards(law: str) -> None:
    """Silence and full scale, both ways (ITU-T G.711)."""
    from rtnb.server.protocol.audio import _code, _loudness

    values = _loudness(law)
    silence = 0xFF if law == "audio/pcmu" else 0xD5
    assert abs(int(values[silence])) <= 8
    assert int(values.max()) == (32_124 if law == "audio/pcmu" else 32_256)
    assert int(values.min()) == -int(values.max())
    codes = _code(law)
    assert all(values[codes[int(value) + 32_768]] == value for value in values)


def test_half_samples_wait_for_their_other_half() -> None:
    decoder = Decoder({"type": "audio/pcm", "rate": 24_000})
    assert decoder.feed(b"\x01\x02\x03") + decoder.feed(b"\x04") + decoder.feed(b"") == b"\x01\x02\x03\x04"
