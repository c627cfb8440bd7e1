"""Speech in one language, spoken in another: the translation session's own events (OpenAI SDK's types)."""

import base64
import math
import socket
import struct

import numpy as np
import pytest
from dialogue import serve

from rtnb.audio import Clip
from rtnb.errors import BudgetExceeded, ConnectionFailed, InputError, ReplayError
from rtnb.jobs.translate import translate

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


def orderly(talk, ends=99, end=None, came=None):
    """A translation in twelve steps; before the one numbered `ends` the server ends it as `end` says."""
    elapsed = iter(range(200, 9999, 200))
    words = lambda text: {"type": "session.output_transcript.delta", "delta": text, "elapsed_ms": next(elapsed)}  # noqa: E731
    sound = base64.b64encode(SPOKEN[:9600]).decode()
    steps = [
        {"type": "session.created", "session": {"id": "sess_1", "type": "translation", "audio": {}}},
        "session.update",
        {"type": "session.updated", "session": {"id": "sess_1", "audio": {"output": {"language": "es"}}}},
        "session.input_audio_buffer.append",
        words("Bue"),
        {"type": "session.output_audio.delta", "delta": sound, "elapsed_ms": 200},
        words("nos"),
        "session.close",
        words(" dí"),
        {"type": "session.output_audio.delta", "delta": sound, "elapsed_ms": 400},
        words("as."),
        {"type": "session.closed"},
    ]
    for step in steps[:ends]:
        if isinstance(step, str):
            talk.expect(step, over=("session.input_audio_buffer.append",))
        else:
            talk.say(step)
    if came is not None:
        came += [step["delta"] for step in steps[:ends] if isinstance(step, dict) and "transcript" in step["type"]]
    (end or ENDS["1000"])(talk)


def aborted(talk):
    linger = struct.pack("ii", 1, 0)  # a reset, in place of a closing handshake
    talk.socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    talk.socket.socket.shutdown(socket.SHUT_RD)  # its reader sees an end, and closes it


ENDS = {
    "no word": lambda talk: talk.drop(),
    "a reset": aborted,
    "1000": lambda talk: talk.end(1000),
    "1000 with a reason": lambda talk: talk.end(1000, "bye"),
    "1001": lambda talk: talk.end(1001),
    "1005": lambda talk: talk.end(),
    "1011": lambda talk: talk.end(1011, "internal error"),
    "1012": lambda talk: talk.end(1012),
    "4000": lambda talk: talk.end(4000, "enough"),
}
STEPS = 12


@pytest.mark.parametrize("live", [False, True], ids=["recording", "live"])
@pytest.mark.parametrize("end", ENDS)
def test_only_the_servers_own_end_is_an_end(end, live):
    """Cut before each of its events: never told as whole, and what came is kept."""
    for cut in range(STEPS):
        came = []
        with serve(lambda talk, cut=cut, came=came: orderly(talk, cut, ENDS[end], came)) as url:
            spoken = translate(None if live else SPEECH, to="es", url=url)
            if live:
                spoken.append(SPEECH.pcm)
                spoken.finish()
            with pytest.raises(ConnectionFailed) as broken:
                spoken.wait(10)
            assert spoken.done
            assert spoken.error is broken.value
            with pytest.raises(ConnectionFailed):
                list(spoken)
        if end == "a reset":  # which may throw away what lay unread in the client's socket
            assert "".join(came).startswith(spoken.text)
        else:
            assert spoken.text == "".join(came)
            assert (spoken.audio is not None) == (cut > 5)
            code = int(end[:4]) if end[0].isdigit() else 1006
            assert broken.value.code == code


@pytest.mark.parametrize("end", ENDS)
def test_after_the_servers_own_end_it_does_not_matter_how_the_socket_closes(end):
    with serve(lambda talk: orderly(talk, end=ENDS[end])) as url:
        spoken = translate(SPEECH, to="es", url=url).wait(10)
    assert spoken.text == "Buenos días."
    assert spoken.session.error is None


@pytest.mark.parametrize("hangs_up", [True, False])
def test_an_end_that_was_not_asked_for_is_none(hangs_up):
    """The server says that it is over while half of the sound is still to come."""

    def script(talk):
        orderly(talk, ends=7, end=lambda talk: talk.say({"type": "session.closed"}))
        if hangs_up:
            talk.socket.close(1000)

    with serve(script) as url:
        spoken = translate(to="es", url=url)
        spoken.append(SPEECH.pcm)
        with pytest.raises(ConnectionFailed, match="hung up"):
            spoken.wait(10)
        assert spoken.text == "Buenos"


def test_who_hangs_up_has_no_whole_translation():
    def script(talk):
        orderly(talk, ends=8, end=lambda talk: talk.hear())

    with serve(script) as url:
        spoken = translate(SPEECH, to="es", url=url)
        next(iter(spoken))
        spoken.cancel()
        with pytest.raises(ConnectionFailed):
            spoken.wait(10)


@pytest.mark.parametrize("cut", range(3, STEPS))
def test_a_saved_translation_that_was_cut_is_not_played_back_as_whole(tmp_path, cut):
    with serve(lambda talk: orderly(talk, ends=cut, end=ENDS["1011"])) as url:
        spoken = translate(SPEECH, to="es", url=url)
        with pytest.raises(ConnectionFailed):
            spoken.wait(10)
        path = spoken.session.save(tmp_path / "cut.rtnb")
    again = translate(SPEECH, to="es", replay=path, replay_speed=math.inf)
    with pytest.raises(ReplayError, match="does not hold"):
        again.wait(10)


def test_a_whole_one_is_played_back_whole_every_time(tmp_path):
    with serve(orderly) as url:
        path = translate(SPEECH, to="es", url=url).wait(10).session.save(tmp_path / "whole.rtnb")
    for _ in range(20):
        assert translate(SPEECH, to="es", replay=path, replay_speed=math.inf).wait(10).text == "Buenos días."
