"""Servers other than OpenAI's: Azure, the Beta's names, and those that speak the protocol in part."""

import base64
import json

import numpy as np
import pytest
from dialogue import serve
from websockets import Headers, InvalidStatus
from websockets.http11 import Response

import rtnb
from rtnb.audio import Clip, join
from rtnb.errors import ConnectionFailed, InputError, KeyMissing, KeyRefused, ServerError
from rtnb.jobs.transcribe import transcribe
from rtnb.opening import connect
from rtnb.session import exchanges
from rtnb.transport import connection_errors, endpoint

SPEECH = Clip.from_array((np.sin(np.arange(24_000) / 9) * 0.3).astype(np.float32), rate_hz=24_000, name="speech")
SPOKEN = (np.sin(np.arange(12_000) / 12) * 9000).astype("<i2").tobytes()


# --- Azure ------------------------------------------------------------------------------------------------------------


def test_azure_takes_its_key_in_a_header_of_its_own_and_never_tells_of_limits():
    def script(talk):
        assert talk.headers["api-key"] == "azure-key-0123456789"
        assert "Authorization" not in talk.headers
        assert "OpenAI-Beta" not in talk.headers
        talk.open(model="my-deployment")
        talk.take_message()
        talk.answer("From Azure.", SPOKEN)  # no rate_limits.updated follows (recorded)

    with (
        serve(script) as url,
        connect(url=url, provider="azure", model="my-deployment", key="azure-key-0123456789") as chat,
    ):
        assert chat.ask("Hi").wait(10).text == "From Azure."
        assert "azure-key" not in repr(chat) + chat.url


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("https://r.openai.azure.com", "wss://r.openai.azure.com/openai/v1/realtime?model=d"),
        ("https://r.openai.azure.com/openai/v1", "wss://r.openai.azure.com/openai/v1/realtime?model=d"),
        ("wss://r.openai.azure.com/openai/v1/realtime?model=x", "wss://r.openai.azure.com/openai/v1/realtime?model=x"),
    ],
)
def test_azures_address_is_completed_to_the_present_interface(given, asked):
    assert endpoint.resolve(given, "d").url == asked


def test_azures_key_is_looked_for_under_its_own_name(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-azure")
    with pytest.raises(KeyMissing, match="AZURE_OPENAI_API_KEY"):
        connect(url="https://r.openai.azure.com", model="d")


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (401, KeyRefused, "HTTP 401"),
        (404, ConnectionFailed, "no such deployment"),
        (429, ConnectionFailed, "too often"),
    ],
)
def test_azure_refuses_at_the_door(status, kind, says):
    """With an HTTP status, where OpenAI says no inside the socket."""
    import http.server
    import threading

    class Door(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"no")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Door) as door:
        threading.Thread(target=door.handle_request, daemon=True).start()
        url = f"ws://127.0.0.1:{door.server_address[1]}/openai/v1/realtime"
        with pytest.raises(kind, match=says):
            connect(url=url, provider="azure", model="d", key="azure-key-0123456789").wait(10)


def test_a_project_that_has_spent_its_limit_is_not_told_to_ask_again_soon():
    said = b'{"error": {"message": "Spent.", "code": "project_spend_limit_exceeded"}}'
    refused = InvalidStatus(Response(429, "Too Many Requests", Headers(), said))
    error = str(connection_errors.at_handshake(refused, "wss://api.openai.com/v1/realtime"))
    assert error.startswith("The server refused the connection (HTTP 429).")
    assert "too often" not in error
    assert error.endswith(connection_errors.SPEND_LIMIT)


# --- the Beta's names -------------------------------------------------------------------------------------------------


def voice_live(talk):
    """Azure Voice Live: flat settings and the Beta's event names (recorded)."""
    talk.say(
        {"type": "session.created", "session": {"id": "sess_1", "modalities": ["text", "audio"], "voice": "alloy"}}
    )
    wanted = talk.expect("session.update")["session"]
    assert "audio" not in wanted
    assert "output_modalities" not in wanted
    assert "type" not in wanted
    assert wanted["input_audio_format"] == "pcm16"
    assert wanted["turn_detection"] is None
    talk.say({"type": "session.updated", "session": {"id": "sess_1", **wanted}})
    item = talk.expect("conversation.item.create")["item"]
    talk.say({"type": "conversation.item.created", "item": {**item, "id": "item_1"}, "previous_item_id": None})
    asked = talk.expect("response.create")["response"]
    assert asked == {"modalities": ["text", "audio"], "max_response_output_tokens": 100}
    answer = {"id": "item_2", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    response = {"id": "resp_1", "status": "in_progress", "conversation_id": "c"}
    where = {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0}
    done = {**answer, "status": "completed", "content": [{"type": "audio", "transcript": "From the Beta."}]}
    talk.say(
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": answer},
        {"type": "conversation.item.created", "item": answer, "previous_item_id": "item_1"},
        {"type": "response.audio_transcript.delta", **where, "delta": "From the"},
        {"type": "response.audio.delta", **where, "delta": base64.b64encode(SPOKEN).decode()},
        {"type": "response.audio_transcript.delta", **where, "delta": " Beta."},
        {"type": "response.audio.done", **where},
        {"type": "response.audio_transcript.done", **where, "transcript": "From the Beta."},
        {"type": "response.output_item.done", "response_id": "resp_1", "output_index": 0, "item": done},
        {"type": "response.done", "response": {**response, "status": "completed", "output": [done]}},
    )


def test_voice_live_is_spoken_to_and_understood_in_the_betas_names(tmp_path):
    with serve(voice_live) as url, connect(url=url, provider="azure-voice-live", key="k" * 20, voice="alloy") as chat:
        reply = chat.ask("Hi", modalities="audio", response={"max_output_tokens": 100}).wait(10)
        assert reply.text == "From the Beta."
        assert reply.audio.pcm == SPOKEN
        assert [turn.words for turn in chat.turns] == ["Hi", "From the Beta."]
        assert len(chat.timeline().seconds_to_first_sound) == 1
        path = chat.save(tmp_path / "beta.rtnb")
    with connect(replay=path, replay_speed=1000) as chat:
        again = chat.ask("Hi", modalities="audio", response={"max_output_tokens": 100}).wait(10)
        assert (again.text, again.audio.pcm) == (reply.text, SPOKEN)


def test_earlier_turns_are_given_to_the_beta_in_its_words():
    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "sess_1"}})
        talk.say({"type": "session.updated", "session": talk.expect("session.update")["session"]})
        kinds = []
        for number in (1, 2):
            item = talk.expect("conversation.item.create")["item"]
            kinds.append(item["content"][0]["type"])
            talk.say({"type": "conversation.item.created", "item": {**item, "id": f"item_{number}"}})
        assert kinds == ["input_text", "text"]

    with serve(script) as url, connect(url=url, provider="azure-voice-live", key="k" * 20) as chat:
        chat.seed([("user", "Hi"), ("assistant", "Hello")]).wait(10)
        assert [turn.role for turn in chat.turns] == ["user", "assistant"]


# --- in part ----------------------------------------------------------------------------------------------------------


def hears_by_itself(talk, silence_bytes=24_000):
    """Hear sound until it is quiet for half a second; gives what came."""
    came = b""
    while not (len(came) > silence_bytes and not any(came[-silence_bytes:])):
        event = talk.hear()
        assert event["type"] == "input_audio_buffer.append", event
        came += base64.b64decode(event["audio"])
    return came


def speech_to_speech(talk):
    """Hugging Face's server: no session.updated, no commit, no events around an item, not even response.created."""
    talk.say({"type": "session.created", "session": {"id": "sess_1"}})
    wanted = talk.expect("session.update")["session"]
    assert wanted["audio"]["input"]["turn_detection"] == {"type": "server_vad"}
    for number in (1, 2):
        hears_by_itself(talk)
        where = {"response_id": f"resp_{number}", "item_id": f"item_{number}"}
        talk.say(
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": f"user_{number}"},
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1000, "item_id": f"user_{number}"},
            {"type": "response.output_audio.delta", **where, "delta": base64.b64encode(SPOKEN).decode()},
            {"type": "response.output_audio_transcript.done", **where, "transcript": f"Answer {number}."},
            {"type": "response.done", "response": {"id": f"resp_{number}", "status": "completed"}},
        )


def test_a_server_without_commits_gets_turn_detection_by_itself():
    with serve(speech_to_speech) as url, connect(url=url, provider="huggingface") as chat:
        for number in (1, 2):
            reply = chat.ask(SPEECH).wait(10)
            assert reply.text == f"Answer {number}."
            assert reply.audio.pcm == SPOKEN
        assert [turn.words for turn in chat.turns if turn.role == "assistant"] == ["Answer 1.", "Answer 2."]
        assert not any(entry.type == "input_audio_buffer.commit" for entry in chat.log)


def refuses_commits(talk):
    talk.open()
    came = b""
    while (event := talk.hear())["type"] != "input_audio_buffer.commit":
        came += base64.b64decode(event["audio"])
    message = "Unknown event type: input_audio_buffer.commit"
    talk.say({"type": "error", "error": {"code": "invalid_value", "message": message, "event_id": event["event_id"]}})
    detection = talk.expect("session.update")["session"]["audio"]["input"]["turn_detection"]
    assert detection == {"type": "server_vad"}
    hears_by_itself(talk)
    talk.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "u"})
    talk.say({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1000, "item_id": "u"})
    talk.say({"type": "input_audio_buffer.committed", "item_id": "u", "previous_item_id": None})
    talk.answer("Heard by itself.", expect=False)
    hears_by_itself(talk)  # the next recording: nothing is asked that is known to be refused
    talk.say({"type": "input_audio_buffer.committed", "item_id": "u2", "previous_item_id": None})
    talk.answer("And again.", id="resp_2", item_id="item_2", expect=False)
    assert [e["type"] for e in talk.heard].count("input_audio_buffer.commit") == 1
    assert len(came) == len(SPEECH.pcm)


def test_an_unknown_server_that_refuses_commits_is_left_to_its_own_detection():
    with serve(refuses_commits) as url, connect(url=url) as chat:
        reply = chat.ask(SPEECH).wait(10)
        assert reply.text == "Heard by itself."
        assert reply.warnings == ["The server takes no commit, so its own turn detection ends the recording."]
        assert chat.ask(SPEECH).wait(10).text == "And again."
        # The recording went out once, whatever was refused.
        sent = sum(entry.sound_bytes for entry in chat.log if entry.direction == "sent")
        assert sent < 2 * len(SPEECH.pcm) + 3 * 48_000


def test_too_little_sound_is_told_and_not_taken_for_a_server_without_commits():
    def script(talk):
        talk.open()
        while (event := talk.hear())["type"] != "input_audio_buffer.commit":
            pass
        code = "input_audio_buffer_commit_empty"
        message = "Error committing input audio buffer: buffer too small."
        talk.say({"type": "error", "error": {"code": code, "message": message, "event_id": event["event_id"]}})
        asked = talk.expect("response.create")
        talk.say({"type": "error", "error": {"code": "x", "message": "Nothing to do.", "event_id": asked["event_id"]}})

    with serve(script) as url, connect(url=url) as chat, pytest.raises(ServerError, match="too small"):
        chat.ask(SPEECH[:0.05]).wait(10)


def test_a_server_that_never_confirms_its_settings_is_talked_to_all_the_same(monkeypatch):
    monkeypatch.setattr(exchanges, "_UPDATE_WAIT_SECONDS", 0.2)

    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "sess_1"}})
        talk.expect("session.update")
        talk.take_message()
        talk.answer("Here.")

    with serve(script) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(10).text == "Here."
        assert chat.warnings == ["The server did not confirm the session's configuration, so it may have its own."]


def test_a_response_without_status_usage_or_conversation_is_an_answer():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        where = {"response_id": "r", "item_id": "i"}
        talk.say(
            {"type": "response.created", "response": {"id": "r"}},
            {"type": "response.output_text.delta", **where, "delta": "Short."},
            {"type": "something.of.its.own", "x": 1},
            {"type": "response.done", "response": {"id": "r"}},
        )

    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(10)
    assert (reply.text, reply.status, reply.cost.usd) == ("Short.", "completed", 0)


def test_frames_that_are_no_events_change_nothing():
    def script(talk):
        talk.open()
        talk.socket.send("not json")
        talk.socket.send(json.dumps(["a", "list"]))
        talk.socket.send(b"\x00\x01")
        talk.take_message()
        talk.answer("Still here.")

    with serve(script) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(10).text == "Still here."


class Vllm:
    """vLLM's server: it only transcribes, 16 kHz, one stretch after the other, in events of its own (its source)."""

    def __init__(self, words, *, error=None):
        self.words, self.error = words, error
        self.seconds, self.paths = [], []

    def __call__(self, talk):
        self.paths.append(talk.path)
        talk.say({"type": "session.created", "id": "sess-1", "created": 1})
        assert talk.expect("session.update")["model"] == "voxtral"
        for words in self.words:
            assert "final" not in talk.expect("input_audio_buffer.commit")
            came = b""
            while (event := talk.hear())["type"] == "input_audio_buffer.append":
                piece = base64.b64decode(event["audio"])
                assert piece
                came += piece
            assert (event["type"], event["final"]) == ("input_audio_buffer.commit", True)
            self.seconds.append(len(came) / 32_000)
            if self.error:
                talk.say({"type": "error", "error": self.error, "code": "processing_error"})
                continue
            for piece in words.split():
                talk.say({"type": "transcription.delta", "delta": f" {piece}"})
            usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
            talk.say({"type": "transcription.done", "text": f" {words}", "usage": usage})


SPOKEN_TWICE = join([SPEECH, SPEECH], gap_seconds=1.5)


def test_a_server_that_only_transcribes_is_taken_through_its_own_events():
    server = Vllm(["Good morning.", "Good night."])
    with serve(server) as url:
        words = transcribe(SPOKEN_TWICE, model="voxtral", url=url, provider="vllm").wait(20)
    assert [segment.text for segment in words.segments] == ["Good morning.", "Good night."]
    assert (words.text, words.partial, words.warnings) == ("Good morning. Good night.", "", [])
    assert words.model == "voxtral"
    begin, end = words.segments[1].start_seconds, words.segments[1].end_seconds
    assert begin == pytest.approx(2.2, abs=0.2)
    assert end == pytest.approx(3.5, abs=0.2)
    # Resampled, not sent faster: as long as the stretch, its lead and the pause that ends it.
    assert server.seconds == pytest.approx([1.7, 1.4], abs=0.3)
    assert "intent" not in server.paths[0]


def test_what_such_a_server_cannot_do_is_a_sentence():
    with serve(Vllm(["x"], error="CUDA out of memory")) as url:
        with pytest.raises(ServerError, match=r"It said: CUDA out of memory Check model="):
            transcribe(SPEECH, model="voxtral", url=url, provider="vllm").wait(20)
        asking = {
            "connect": lambda **there: connect(**there),
            "ask": lambda **there: rtnb.ask("Hi", **there),
            "map": lambda **there: rtnb.map(SPEECH, "What is it?", **there),
            "translate": lambda **there: rtnb.translate(SPEECH, to="es", **there),
        }
        for ask in asking.values():
            with pytest.raises(InputError, match=r"^Your server \(vLLM\) only transcribes\. Use rtnb\.transcribe"):
                ask(url=url, provider="vllm")


def test_such_a_server_that_goes_is_told():
    def script(talk):
        talk.say({"type": "session.created", "id": "sess-1", "created": 1})
        talk.expect("session.update")
        talk.expect("input_audio_buffer.commit")
        talk.drop()

    with serve(script) as url, pytest.raises(ConnectionFailed, match="dropped"):
        transcribe(SPOKEN_TWICE, model="voxtral", url=url, provider="vllm").wait(20)


def speech_to_speech_11(talk):
    """Hugging Face's server from 1.1.0 on: session.updated, events around an item, transcript deltas (its source)."""
    created = {"id": "sess_1", "object": "realtime.session", "type": "realtime"}
    talk.say({"type": "session.created", "session": created})
    wanted = talk.expect("session.update")["session"]
    talk.say({"type": "session.updated", "session": {**created, **wanted}})
    hears_by_itself(talk)
    talk.say(
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "user_1"},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1000, "item_id": "user_1"},
        {"type": "input_audio_buffer.committed", "item_id": "user_1", "previous_item_id": None},
    )
    talk.answer("Heard.", SPOKEN, expect=False)
    talk.expect("conversation.item.create")
    talk.answer("Read.", SPOKEN, id="resp_2", item_id="item_2")


def test_hugging_faces_newer_server_is_talked_to_by_voice_and_in_words():
    with serve(speech_to_speech_11) as url, connect(url=url, provider="huggingface") as chat:
        spoken = chat.ask(SPEECH).wait(10)
        assert (spoken.text, spoken.audio.pcm) == ("Heard.", SPOKEN)
        written = chat.ask("And in words?").wait(10)
        assert (written.text, written.audio.pcm) == ("Read.", SPOKEN)
        assert [turn.words for turn in chat.turns if turn.role == "assistant"] == ["Heard.", "Read."]
        assert (spoken.warnings, written.warnings, chat.warnings) == ([], [], [])


def test_hugging_faces_older_server_answers_words_as_well():
    """It sends no event around an item and not even `response.created`."""

    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "sess_1"}})
        talk.expect("session.update")
        talk.expect("conversation.item.create")
        talk.expect("response.create")
        where = {"response_id": "resp_1", "item_id": "item_1"}
        talk.say(
            {"type": "response.output_audio.delta", **where, "delta": base64.b64encode(SPOKEN).decode()},
            {"type": "response.output_audio_transcript.done", **where, "transcript": "Read."},
            {"type": "response.done", "response": {"id": "resp_1", "status": "completed"}},
        )

    with serve(script) as url, connect(url=url, provider="huggingface") as chat:
        reply = chat.ask("Hi").wait(10)
        assert (reply.text, reply.audio.pcm) == ("Read.", SPOKEN)
