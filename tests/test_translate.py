"""Speech in one language, spoken in another: the translation session's own events (OpenAI SDK's types)."""

import base64
import math

import numpy as np
import pytest
from dialogue import serve

from rtnb.audio import Clip
from rtnb.errors import BudgetExceeded, ConnectionFailed, InputError
from rtnb.translate import translate

SPEECH = Clip.from_array((np.sin(np.arange(24_000 * 3) / 9) * 0.3).astype(np.float32), rate_hz=24_000, name="speech")
SPOKEN = (np.sin(np.arange(24_000) / 12) * 9000).astype("<i2").tobytes()


def interpreter(talk, got=None):
    assert talk.path.startswith("/v1/realtime/translations?model=gpt-realtime-translate")
    talk.say({"type": "session.created", "session": {"id": "sess_1", "type": "translation", "audio": {}}})
    wanted = talk.expect("session.update")["session"]
    talk.say({"type": "session.updated", "session": {"id": "sess_1", **wanted}})
    came, elapsed = b"", 0
    while (event := talk.hear())["type"] == "session.input_audio_buffer.append":
        came += base64.b64decode(event["audio"])
        elapsed += 200
        if elapsed == 1000:
            talk.say({"type": "session.input_transcript.delta", "delta": "Good morning.", "elapsed_ms": elapsed})
            talk.say({"type": "session.output_transcript.delta", "delta": "Buenos", "elapsed_ms": elapsed})
            sound = base64.b64encode(SPOKEN[:24_001]).decode()
            talk.say(
                {"type": "session.output_audio.delta", "delta": sound, "elapsed_ms": elapsed, "sample_rate": 24000}
            )
    assert event["type"] == "session.close"
    talk.say({"type": "session.output_transcript.delta", "delta": " días.", "elapsed_ms": elapsed})
    sound = base64.b64encode(SPOKEN[24_001:]).decode()
    talk.say({"type": "session.output_audio.delta", "delta": sound, "elapsed_ms": elapsed})
    if got is not None:
        got.append((wanted, came, {len(e["audio"]) * 3 // 4 for e in talk.heard if e["type"].endswith("append")}))
    talk.say({"type": "session.closed"})
    talk.socket.close()


def test_a_recording_comes_back_in_another_language():
    got = []

    with serve(lambda talk: interpreter(talk, got)) as url:
        spoken = translate(SPEECH, to="es", url=url, transcription=True).wait(10)
    wanted, came, _ = got[0]
    assert wanted == {
        "audio": {"output": {"language": "es"}, "input": {"transcription": {"model": "gpt-realtime-whisper"}}}
    }
    assert came == SPEECH.pcm
    assert spoken.text == "Buenos días."
    assert spoken.source_text == "Good morning."
    assert spoken.audio.pcm == SPOKEN
    # Three seconds at $0.034 a minute (OpenAI's price list).
    assert spoken.cost.usd == pytest.approx(3 / 60 * 0.034)
    assert [turn.role for turn in spoken.session.turns] == ["user", "assistant"]
    assert "Buenos" in spoken._repr_html_()


def test_pieces_come_as_they_are_ready():
    with serve(interpreter) as url:
        pieces = list(translate(SPEECH, to="es", url=url))
    assert [piece.text for piece in pieces if piece.text] == ["Buenos", " días."]
    assert sum(piece.audio.seconds for piece in pieces if piece.audio) == pytest.approx(1.0, abs=0.001)


def test_live_sound_is_cut_to_the_servers_frames():
    got = []
    with serve(lambda talk: interpreter(talk, got)) as url:
        spoken = translate(to="es", url=url)
        for start in range(0, len(SPEECH.pcm), 1234):
            spoken.append(SPEECH.pcm[start : start + 1234])
        assert spoken.finish().wait(10).text == "Buenos días."
    assert got[0][2] == {9600}


def test_a_break_is_told_and_keeps_what_came():
    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "s"}})
        talk.say({"type": "session.updated", "session": talk.expect("session.update")["session"]})
        talk.expect("session.input_audio_buffer.append")
        talk.say({"type": "session.output_transcript.delta", "delta": "Bue"})
        talk.socket.socket.shutdown(2)

    with serve(script) as url:
        spoken = translate(to="es", url=url)
        spoken.append(SPEECH.pcm[:9600])
        with pytest.raises(ConnectionFailed, match="dropped"):
            spoken.wait(10)
        assert spoken.text == "Bue"


def test_a_budget_stops_it():
    with serve(interpreter) as url, pytest.raises(BudgetExceeded):
        translate(SPEECH, to="es", url=url, budget=0.001).wait(10)


def test_a_saved_translation_is_played_back(tmp_path):
    with serve(interpreter) as url:
        path = translate(SPEECH, to="es", url=url).wait(10).session.save(tmp_path / "spoken.rtnb")
    again = translate(SPEECH, to="es", replay=path, replay_speed=math.inf).wait(10)
    assert again.text == "Buenos días."
    assert again.audio.pcm == SPOKEN


def test_wrong_arguments_are_told():
    with pytest.raises(InputError, match="needs a language"):
        translate(SPEECH, to="", practice=True)
    with pytest.raises(InputError, match="does not translate"):
        translate(SPEECH, to="es", model="gpt-realtime-2.1", practice=True)
