"""The practice server's voice: every text, every name, every speed, and the languages people write in."""

from __future__ import annotations

import functools
import gc
import sys
import threading
import types
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtnb.server import languages
from rtnb.server.engines import asr, espeak, neural
from rtnb.server.engines import tts as voice

SENTENCE = "The meeting is on Monday morning at nine."


@pytest.fixture
def spoken() -> None:
    if voice.engine() is None:
        pytest.skip("no synthesiser is installed")


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no synthesiser had been looked for yet; whatever was loaded is put back afterwards."""
    monkeypatch.setattr(voice, "_load", functools.cache(voice._load.__wrapped__))


def say(text: str, **how: object) -> np.ndarray:
    return np.frombuffer(b"".join(voice.speak(text, **how)), "<i2")  # type: ignore[arg-type]


def joined(audio: Iterable[tuple[bytes, int]]) -> bytes:
    """The bytes of what an engine synthesised, whatever their rate."""
    return b"".join(pcm for pcm, _ in audio)


def seconds(sound: np.ndarray) -> float:
    return len(sound) / 24_000


@pytest.mark.usefixtures("spoken")
def test_a_sentence_is_about_as_long_as_a_person_takes() -> None:
    sound = say(SENTENCE)
    assert 1.5 < seconds(sound) < 5
    assert 2_000 < np.abs(sound.astype(int)).max() <= 32_767


@pytest.mark.usefixtures("spoken")
def test_what_it_says_is_heard_back() -> None:
    if asr.engine() is None:
        pytest.skip("no recogniser is installed")
    heard = asr.transcribe(say(SENTENCE).tobytes()).casefold()
    assert "monday morning" in heard


@pytest.mark.usefixtures("spoken")
def test_the_same_words_take_the_same_time() -> None:
    # Not the same samples: espeak-ng's flutter runs on from sentence to sentence.
    assert len(say(SENTENCE)) == len(say(SENTENCE))


@pytest.mark.usefixtures("spoken")
def test_the_ten_names_are_ten_voices() -> None:
    assert len(voice.VOICES) == 10
    sounds = [say("Hello there.", voice=name).tobytes() for name in voice.VOICES]
    assert len(set(sounds)) == 10
    assert len({(one.variant, one.accent) for one in voice.VOICES.values()}) == 10, (
        "distinct in timbre, not only in pitch"
    )


@pytest.mark.usefixtures("spoken")
def test_another_name_gets_some_voice_and_always_the_same() -> None:
    assert len(say("Hello.", voice="voice_1234")) == len(say("Hello.", voice="voice_1234")) > 0
    assert len(say("Hello.", voice="")) > 0


@pytest.mark.usefixtures("spoken")
def test_speed_changes_length_all_the_way() -> None:
    lengths = [seconds(say(SENTENCE, speed=speed)) for speed in (0.25, 0.5, 1.0, 1.5)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == pytest.approx(4 * lengths[2], rel=0.2)
    assert lengths[1] == pytest.approx(2 * lengths[2], rel=0.2)
    assert lengths[3] == pytest.approx(lengths[2] / 1.5, rel=0.2)
    assert len(say("Hello.", speed=9)) == len(say("Hello.", speed=1.5)), "outside the API's range is clamped"


@pytest.mark.usefixtures("spoken")
@pytest.mark.parametrize("text", ["", " \n\t", "😀🎉", "…", "\x00\x01\x1b", "\ud800", "—?!", "\u200b\ufe0f"])
def test_nothing_to_say_is_no_sound(text: str) -> None:
    assert len(say(text)) == 0


@pytest.mark.usefixtures("spoken")
def test_control_characters_command_nothing() -> None:
    # espeak-ng reads \x01 and what follows as an order, here to speak at 450 words a minute.
    assert seconds(say("\x01450S" + SENTENCE)) > seconds(say(SENTENCE))


@pytest.mark.usefixtures("spoken")
def test_markup_is_read_and_not_obeyed() -> None:
    assert seconds(say('Hello <break time="9s"/> there')) < 8
    assert seconds(say("Hello [[h@loU]] there")) < 5


@pytest.mark.usefixtures("spoken")
def test_a_long_answer_starts_at_once_and_comes_in_pieces() -> None:
    pieces = voice.speak("One sentence after another is said. " * 200)
    first = next(pieces)
    assert 0.5 < len(first) / 48_000 < 6, "the first piece is one sentence and not the whole"
    assert sum(1 for _ in pieces) >= 199


@pytest.mark.usefixtures("spoken")
def test_ten_thousand_words_without_a_full_stop() -> None:
    total = sum(len(piece) for piece in voice.speak("word " * 10_000))
    assert total / 48_000 > 1_000


@pytest.mark.usefixtures("spoken")
def test_leaving_off_in_the_middle_leaves_nothing_locked() -> None:
    started = voice.speak("One. Two. Three. Four.")
    next(started)
    started.close()
    assert len(say("Hello.")) > 0


@pytest.mark.usefixtures("spoken")
def test_threads_take_turns_and_do_not_mix() -> None:
    texts = ["One two three four five.", "The rain in Spain.", "你好，世界。", "Guten Morgen, wie geht es dir?"]
    alone = {text: len(say(text)) for text in texts}
    found: list[tuple[str, int]] = []
    threads = [threading.Thread(target=lambda text=text: found.append((text, len(say(text))))) for text in texts * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert all(length == pytest.approx(alone[text], rel=0.03) for text, length in found)


@pytest.mark.usefixtures("spoken")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60), st.sampled_from([*voice.VOICES]), st.floats(0.1, 2))
def test_no_text_breaks_it(text: str, name: str, speed: float) -> None:
    sound = b"".join(voice.speak(text, voice=name, speed=speed))
    assert len(sound) % 2 == 0


# ── Sentences ──


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs 3.50 at rtnb.ask today.", ["It costs 3.50 at rtnb.ask today."]),
        ("Mr. Smith met Dr. Jones.", ["Mr. Smith met Dr. Jones."]),
        ("你好。很高兴！", ["你好。", "很高兴！"]),
        ("a\nb", ["a", "b"]),
        ("…", []),
        ("Hello 😀 there", ["Hello there"]),
    ],
)
def test_a_text_is_cut_into_sentences(text: str, pieces: list[str]) -> None:
    assert list(voice._pieces(text)) == pieces


@given(st.text(alphabet="ab ,.。", max_size=900))
def test_cutting_loses_no_letter(text: str) -> None:
    pieces = list(voice._pieces(text))
    letters = [character for character in "".join(pieces) if character in "ab"]
    assert letters == [character for character in text if character in "ab"]
    assert all(len(piece) <= voice._PIECE for piece in pieces)


# ── Languages ──


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Good morning, how are you?", "en"),
        ("你好，很高兴见到你", "zh"),
        ("こんにちは、元気ですか", "ja"),
        ("日本語で話します", "ja"),
        ("안녕하세요", "ko"),
        ("Привет, как дела?", "ru"),
        ("Привіт, як справи? Її ім'я", "uk"),
        ("Bonjour, comment allez-vous ?", "fr"),
        ("Hola, ¿cómo estás?", "es"),
        ("Guten Tag, wie geht es dir?", "de"),
        ("Ciao, come stai? Grazie", "it"),
        ("Olá, como você está? Obrigado", "pt"),
        ("مرحبا", "ar"),
        ("سلام، چطوری؟", "fa"),
        ("नमस्ते", "hi"),
        ("Γειά σου", "el"),
        ("42", "en"),
        ("", "en"),
    ],
)
def test_the_language_is_told_from_the_text(text: str, language: str) -> None:
    assert languages.guess(text) == language


def test_languages_people_name() -> None:
    assert languages.named("Answer in French, then in Chinese.") == ["fr", "zh"]
    assert languages.named("用中文回答") == ["zh"]
    assert languages.named("A polished Germany") == []


def test_a_foreign_word_is_its_own_run() -> None:
    assert languages.runs("The word 你好 means hello.", "en") == [
        ("en", "The word "),
        ("zh", "你好 "),
        ("en", "means hello."),
    ]
    assert languages.runs("我用Python写代码", "zh") == [("zh", "我用Python写代码")]


@given(st.text(max_size=80))
def test_runs_joined_are_the_text(text: str) -> None:
    assert "".join(part for _, part in languages.runs(text, languages.guess(text))) == text


@pytest.mark.usefixtures("spoken")
@pytest.mark.parametrize("language", sorted(languages.NAMES))
def test_every_language_it_can_name_has_a_voice(language: str) -> None:
    own = languages.NAMES[language][-1]
    assert len(say(own, language=language)) > 4_800


# ── Where something is missing, and better voices ──


@pytest.mark.usefixtures("unloaded")
def test_without_an_engine_it_says_so_and_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(voice, "Espeak", lambda: missing("espeakng_loader"))
    monkeypatch.delenv("RTNB_VOICES", raising=False)
    assert voice.engine() is None
    assert list(voice.speak("Hello.")) == []
    voice.warm_up()


def test_a_long_path_is_made_short(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60) / "espeak-ng-data"
    deep.mkdir(parents=True)
    (deep / "phontab").write_text("here")
    short = Path(espeak._short(str(deep)).decode())
    assert len(str(short)) < 120
    assert (short / "phontab").read_text() == "here"
    assert espeak._short("/short") == b"/short"


class FakePiper(types.ModuleType):
    """Piper's surface as of 1.3 and later: `PiperVoice.load`, `SynthesisConfig`, chunks with bytes."""

    asked: list[tuple[str, int | None, float]]

    def __init__(self) -> None:
        super().__init__("piper")
        self.__spec__ = types.SimpleNamespace(name="piper")  # type: ignore[assignment]
        self.asked = []
        outer = self

        class PiperVoice:
            config = types.SimpleNamespace(length_scale=1.0)

            @classmethod
            def load(cls, path: str) -> PiperVoice:
                return cls()

            def synthesize(self, text: str, syn_config: types.SimpleNamespace) -> Iterator[types.SimpleNamespace]:
                outer.asked.append((text, syn_config.speaker_id, syn_config.length_scale))
                yield types.SimpleNamespace(audio_int16_bytes=b"\x10\x00" * 8_000)

        self.PiperVoice = PiperVoice
        self.SynthesisConfig = lambda **given: types.SimpleNamespace(**given)


@pytest.mark.usefixtures("unloaded")
def test_piper_speaks_the_languages_it_has_a_model_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    piper = FakePiper()
    monkeypatch.setitem(sys.modules, "piper", piper)
    monkeypatch.setenv("RTNB_VOICES", str(tmp_path))
    (tmp_path / "en_US-some-medium.onnx").write_bytes(b"")
    (tmp_path / "en_US-some-medium.onnx.json").write_text(
        '{"espeak": {"voice": "en-us"}, "num_speakers": 3, "audio": {"sample_rate": 16000}}'
    )
    (tmp_path / "stray.onnx").write_bytes(b"")
    (tmp_path / "zh_CN-fetches-more.onnx").write_bytes(b"")
    (tmp_path / "zh_CN-fetches-more.onnx.json").write_text(
        '{"espeak": {"voice": "cmn"}, "phoneme_type": "pinyin", "audio": {"sample_rate": 22050}}'
    )
    assert str(voice.engine()).startswith("piper (en_US-some-medium)")
    assert seconds(say("Hello there.", voice="ash")) == pytest.approx(0.5, abs=0.01)
    assert piper.asked == [("Hello there.", 1, 1.0)]
    say("Hello [[x]].", speed=0.5)
    assert piper.asked[-1] == ("Hello [ [x] ].", 8 % 3, 2.0)
    before = len(piper.asked)
    say("你好。")
    assert len(piper.asked) == before, "Chinese is not for an English model"


def test_piper_and_kokoro_need_a_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "piper", FakePiper())
    monkeypatch.delenv("RTNB_VOICES", raising=False)
    with pytest.raises(FileNotFoundError):
        neural.Piper()
    monkeypatch.setenv("RTNB_VOICES", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        neural.Piper()
    kokoro = types.ModuleType("kokoro_onnx")
    kokoro.__spec__ = types.SimpleNamespace(name="kokoro_onnx")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "kokoro_onnx", kokoro)
    with pytest.raises(FileNotFoundError):
        neural.Kokoro()


def test_kokoro_gives_each_name_its_voice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, float, str]] = []

    class Model:
        def __init__(self, model: str, voices: str) -> None:
            assert model.endswith("kokoro-v1.0.onnx")
            assert voices.endswith("voices-v1.0.bin")

        def get_voices(self) -> list[str]:
            return ["af_heart", "af_sky", "am_adam", "ff_siwis"]

        def create(self, text: str, *, voice: str, speed: float, lang: str) -> tuple[np.ndarray, int]:
            asked.append((voice, speed, lang))
            if text == "㎡":
                raise ValueError("Nothing to synthesize, '㎡' produced no phonemes")
            return np.full(2_400, 2.0, np.float32), 24_000

    module = types.ModuleType("kokoro_onnx")
    module.__spec__ = types.SimpleNamespace(name="kokoro_onnx")  # type: ignore[assignment]
    module.Kokoro = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kokoro_onnx", module)
    monkeypatch.setenv("RTNB_VOICES", str(tmp_path))
    (tmp_path / "kokoro-v1.0.onnx").write_bytes(b"")
    (tmp_path / "voices-v1.0.bin").write_bytes(b"")
    kokoro = neural.Kokoro()
    loud = joined(kokoro.synthesise("Hello", "marin", 1.0, "en", False))
    assert np.frombuffer(loud, "<i2").max() == 32_767
    joined(kokoro.synthesise("Bonjour", "marin", 0.25, "fr", False))
    assert asked == [("af_heart", 1.0, "en-us"), ("ff_siwis", 0.5, "fr-fr")]
    assert not kokoro.speaks("zh")
    assert list(kokoro.synthesise("㎡", "marin", 1.0, "en", False)) == []


def test_a_second_voice_may_come_and_go_without_breaking_the_first() -> None:
    # The C library has one callback for the whole process; freed with a voice, it took the process along.
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")
    from rtnb.server.engines.espeak import Espeak

    first = Espeak()
    before = joined(first.synthesise("Hello.", "alloy", 1.0, "en", False))
    second = Espeak()
    assert joined(second.synthesise("Hello.", "alloy", 1.0, "en", False))
    del second
    gc.collect()
    after = joined(first.synthesise("Hello.", "alloy", 1.0, "en", False))
    assert len(after) == pytest.approx(len(before), rel=0.1)
