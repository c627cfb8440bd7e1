"""What is known of models, prices and servers, and what a person is told of a model's end."""

import tomllib
import warnings
from datetime import date, timedelta
from importlib.resources import files

import pytest

import rtnb
from rtnb import models
from rtnb.errors import InputError, RtnbWarning


def test_the_default_model_is_known_current_and_priced():
    model = models.get(models.DEFAULT)
    assert model.name == "gpt-realtime-2.1-mini"
    assert (model.status, model.kind, model.reasoning) == ("current", "realtime", True)
    assert (model.context_tokens, model.max_output_tokens) == (128_000, 32_000)
    assert (model.voice, model.silence_duration_ms) == ("marin", 500)
    assert model.prices is not None


def test_an_older_model_has_the_defaults_recorded_for_it():
    model = models.get("gpt-realtime")
    assert (model.voice, model.silence_duration_ms) == ("alloy", 200)
    assert (model.context_tokens, model.max_output_tokens) == (32_000, 4_096)


def test_any_other_name_is_no_error():
    model = models.get("ft:gpt-realtime:my-school::abc")
    assert not model.known
    assert model.prices is None
    assert model.shutdown is None
    assert not model.is_gone()


def test_every_fact_carries_its_source_and_every_price_its_day():
    data = tomllib.loads(files("rtnb").joinpath("models", "models.toml").read_text(encoding="utf-8"))
    for table in (*data["model"], *data["provider"], *data["ending"]):
        assert table["source"], table
    for table in data["model"]:
        for prices in table.get("prices", ()):
            assert prices["source"]
            assert isinstance(prices["since"], date)
    assert isinstance(models.known_on(), date)


def test_every_successor_is_itself_known_and_goes_on():
    for model in models.load().values():
        if model.successor:
            successor = models.get(model.successor)
            assert successor.known, model
            assert successor.shutdown is None, model


def test_prices_change_with_the_day():
    model = models.get("gpt-4o-realtime-preview")
    launch = model.prices_on(date(2024, 10, 1))
    assert launch is not None
    assert launch.audio == models.Rate(input=100.0, cached=None, output=200.0)
    assert model.prices_on(date(2024, 9, 30)) is None
    december = model.prices_on(date(2024, 12, 17))
    assert december is not None
    assert december.audio.output == 80.0
    assert model.prices == december


def test_the_launch_snapshot_never_became_cheaper():
    snapshot = models.get("gpt-4o-realtime-preview-2024-10-01")
    assert snapshot.prices is not None
    assert snapshot.prices.audio.input == 100.0
    assert snapshot.shutdown == date(2025, 10, 10)


def test_a_minute_in_cents_as_the_launch_announced_it_and_as_it_is_now():
    # $100 / 1M × 600 tokens a minute = $0.06; $200 / 1M × 1,200 = $0.24 (OpenAI, 2024-10-01).
    launch = models.get("gpt-4o-realtime-preview-2024-10-01").prices
    assert launch is not None
    assert launch.audio_in_per_minute_usd == pytest.approx(0.06)
    assert launch.audio_out_per_minute_usd == pytest.approx(0.24)
    # $32 / 1M × 600 = $0.0192; $64 / 1M × 1,200 = $0.0768.
    flagship = models.get("gpt-realtime-2.1").prices
    assert flagship is not None
    assert flagship.audio_in_per_minute_usd == pytest.approx(0.0192)
    assert flagship.audio_out_per_minute_usd == pytest.approx(0.0768)
    # $10 / 1M × 600 = $0.006; $20 / 1M × 1,200 = $0.024.
    mini = models.get("gpt-realtime-2.1-mini").prices
    assert mini is not None
    assert mini.audio_in_per_minute_usd == pytest.approx(0.006)
    assert mini.audio_out_per_minute_usd == pytest.approx(0.024)


def test_ninety_days_before_the_end_a_model_warns_and_names_its_successor():
    assert models.shutdown_notice("gpt-realtime", date(2026, 10, 21)) is None
    # 2027-01-20 less 90 days is 2026-10-22.
    notice = models.shutdown_notice("gpt-realtime", date(2026, 10, 22))
    assert notice == (
        "The model gpt-realtime is shut down on 20 January 2027, in 90 days. Use model='gpt-realtime-2.1' instead."
    )
    assert "in 1 day." in str(models.shutdown_notice("gpt-realtime", date(2027, 1, 19)))


def test_after_the_end_a_model_is_gone():
    notice = models.shutdown_notice("gpt-realtime", date(2027, 1, 20))
    assert notice is not None
    assert "is gone: it was shut down on 20 January 2027" in notice
    assert models.get("gpt-realtime").is_gone(date(2027, 1, 20))
    assert not models.get("gpt-realtime").is_gone(date(2027, 1, 19))


def test_a_snapshot_may_end_before_its_model():
    early = models.get("gpt-realtime-mini-2025-10-06")
    assert early.shutdown == date(2026, 7, 23)
    assert early.status == "gone"
    assert models.get("gpt-realtime-mini-2025-12-15").shutdown == date(2027, 1, 20)


def test_the_warning_is_ours_and_points_at_the_caller():
    with pytest.warns(RtnbWarning, match="gpt-realtime-mini is shut down") as caught:
        models.warn_shutdown("gpt-realtime-mini", date(2026, 12, 24))
    assert caught[0].filename == __file__


def test_a_model_that_goes_on_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert models.warn_shutdown("gpt-realtime-2.1", date(2030, 1, 1)) is None
        assert models.warn_shutdown("nobody-knows-me") is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (None, "openai"),
        ("wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1", "openai"),
        ("wss://eu.api.openai.com/v1/realtime", "openai"),
        ("wss://school.openai.azure.com/openai/v1/realtime?model=voice", "azure"),
        ("wss://school.openai.azure.com/openai/realtime?api-version=2024-10-01-preview", "azure-legacy"),
        ("wss://x.cognitiveservices.azure.com/voice-live/realtime?model=gpt-realtime", "azure-voice-live"),
        ("ws://localhost:8080/v1/realtime?model=gpt-realtime", "localai"),
        ("ws://localhost:8765/v1/realtime", "huggingface"),
        ("wss://abc.us-east-1.aws.endpoints.huggingface.cloud/v1/realtime", "huggingface"),
        ("http://vllm.lan:8000/v1/realtime", "vllm"),
        ("ws://h:8000/v1/realtime?duplex=0", "vllm-omni"),
        ("ws://speaches.lan:8000/v1/realtime", "speaches"),
        ("wss://school.openai.azure.com/openai/v1/live/sessions", "azure-live"),
        ("wss://api.inworld.ai/api/v1/realtime/session?key=a&protocol=realtime", "inworld"),
        ("ws://localhost:4000/v1/realtime?model=gpt-realtime-2.1", "litellm"),
        ("wss://litellm.school.example/v1/realtime", "litellm"),
        ("wss://api.inworld.ai.evil.example/v1/realtime", "other"),
        ("ws://stranger.example:4000/v1/realtime", "other"),
        ("ws://127.0.0.1:40123/v1/realtime", "other"),
        ("wss://api.openai.com.evil.example/v1/realtime", "other"),
        ("wss://evil.example/?x=wss://api.openai.com/", "other"),
    ],
)
def test_an_address_tells_whose_it_is(url: str | None, name: str):
    assert models.provider_of(url).name == name


def test_azure_carries_its_key_in_a_header_of_its_own():
    assert models.provider("azure").headers("k") == {"api-key": "k"}
    assert models.provider("openai").headers("k") == {"Authorization": "Bearer k"}
    assert models.provider("other").headers("") == {}


def test_each_server_gets_its_key_in_the_header_it_reads():
    assert models.provider("litellm").headers("sk-1") == {"Authorization": "Bearer sk-1"}
    assert models.provider("inworld").headers("a2V5") == {"Authorization": "Basic a2V5"}
    assert models.provider("azure-live").headers("k") == {"api-key": "k"}


def test_an_address_of_the_live_api_is_refused_before_anything_is_sent():
    with pytest.raises(InputError, match=r"has the Live API, whose events rtnb does not speak\. Give the address"):
        rtnb.connect(url="wss://school.openai.azure.com/openai/v1/live/sessions", key="made-up")


def test_providers_say_what_they_lack():
    assert not models.provider("huggingface").commit
    assert not models.provider("huggingface").answers_update
    assert models.provider("azure-voice-live").beta_names
    assert models.provider("vllm").input_rate_hz == 16_000
    assert not models.provider("vllm").responses
    assert models.provider("azure").session_minutes == 30
    assert models.provider("openai").lacks == ()


def test_an_unknown_provider_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match=r"Your provider 'bedrock' is not known\. Give one of: .*azure"):
        models.provider("bedrock")


def test_limits_are_those_of_the_server():
    limits = models.limits()
    assert limits.session_minutes == 60
    assert limits.append_bytes == 15 * 1024 * 1024
    assert limits.commit_ms == 100
    assert limits.speed == (0.25, 1.5)


def test_the_catalogue_is_a_mapping_with_the_recommended_ones_first():
    catalogue = models.load()
    assert list(catalogue)[:2] == ["gpt-realtime-2.1", "gpt-realtime-2.1-mini"]
    assert "gpt-realtime-2" in catalogue
    assert {"marin", "cedar"} <= set(models.VOICES)
    assert any("Beta" in ending["what"] for ending in models.read()["ending"])


def test_the_facts_know_their_age_and_say_when_it_is_too_old():
    checked = models.known_on()
    assert models.age(checked) == f"As of {checked} (today)."
    assert models.age(checked + timedelta(1)) == f"As of {checked} (1 day ago)."
    assert models.age(checked + timedelta(59)) == f"As of {checked} (59 days ago)."
    assert models.age(checked - timedelta(5)) == f"As of {checked} (today)."  # a clock that is behind
    assert models.stale_notice(checked + timedelta(models.STALE_DAYS)) is None
    notice = models.stale_notice(checked + timedelta(models.STALE_DAYS + 1))
    assert notice is not None
    assert notice.startswith("Prices may have changed: compare https://developers.openai.com/")


def test_of_each_model_that_writes_down_it_is_known_when_its_words_come():
    found = {model.name: model for model in models.load().values() if model.kind == "transcription"}
    assert {name for name, model in found.items() if model.streams} == {"gpt-live-transcribe", "gpt-realtime-whisper"}
    assert {name for name, m in found.items() if m.takes_languages} == {"gpt-live-transcribe", "gpt-transcribe"}
    assert all(model.streams is not None and model.takes_languages is not None for model in found.values())
