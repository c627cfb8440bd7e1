"""The Beta interface of 2024: the same sessions, in the words that old programs speak."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import os
import random
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websockets
from practice_harness import SPEECH, Harness, b64, squeezed
from tqdm import tqdm
from websockets.asyncio.client import connect

from rtnb.server import server
from rtnb.server.engines.engines import canned
from rtnb.server.protocol import settings
from rtnb.server.protocol.beta import BetaSession
from rtnb.server.protocol.effects import Ids
from rtnb.server.protocol.requests import Call
from rtnb.server.protocol.session import Options

MODEL = "gpt-4o-realtime-preview-2024-10-01"


def opened(**fields: Any) -> Harness:
    session = BetaSession(
        Ids(random.Random(1)),
        now=100.0,
        unix_seconds=1_800_000_000,
        model=settings.BETA_MODELS[MODEL],
        options=Options(pace=0),
    )
    return Harness(session=session, **fields)


def test_the_session_is_flat_and_the_conversation_is_announced() -> None:
    created, conversation = opened().events
    session = created["session"]
    assert session["modalities"] == ["text", "audio"]
    assert (session["voice"], session["input_audio_format"], session["temperature"]) == ("alloy", "pcm16", 0.8)
    assert session["turn_detection"]["type"] == "server_vad"
    assert not {"audio", "type", "output_modalities"} & set(session)
    assert conversation["type"] == "conversation.created"


ODD: list[Any] = [[], {}, [1], [{}], {"type": []}, 5, True, "x"]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("name", ["model", "modalities", "voice", "input_audio_format", "turn_detection", "speed"])
def test_a_field_of_any_other_type_is_refused_in_words(name: str, value: Any) -> None:
    harness = opened()
    harness.send("session.update", session={name: value})
    answer = harness.events[-1]
    assert answer["type"] in ("error", "session.updated")
    assert answer["type"] == "session.updated" or name in answer["error"]["param"]


def test_a_turn_in_the_old_names() -> None:
    harness = opened()
    harness.send(
        "session.update", session={"turn_detection": None, "modalities": ["audio", "text"], "temperature": 0.6}
    )
    assert harness.events[-1]["session"]["temperature"] == 0.6
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    answer = harness.send("response.create", response={"modalities": ["text", "audio"], "instructions": "Be brief."})
    harness.wait(0.1)
    assert squeezed(answer)[:4] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
    ]
    kinds = {event["type"] for event in answer}
    assert {"response.audio.delta", "response.audio_transcript.delta", "response.audio_transcript.done"} <= kinds
    assert not {
        kind for kind in harness.types if "output_audio" in kind or kind.endswith(("item.added.", "item.done."))
    }
    assert "conversation.item.added" not in harness.types
    assert harness.types[-1] == "rate_limits.updated"
    done = harness.last("response.done")["response"]
    assert done["output"][0]["content"] == [{"type": "audio", "transcript": "Nice to meet you."}]
    assert done["output"][0]["object"] == "realtime.item"
    assert done["modalities"] == ["text", "audio"]
    audio = b"".join(base64.b64decode(event["delta"]) for event in harness.of("response.audio.delta"))
    assert audio == SPEECH


def test_text_and_calls_in_the_old_names() -> None:
    harness = opened(answers=[Call("look", {"a": 1})])
    harness.send("session.update", session={"tools": [{"type": "function", "name": "look"}], "modalities": ["text"]})
    harness.say("Look.")
    harness.send("response.create")
    done = harness.last("response.function_call_arguments.done")
    assert "name" not in done  # the Beta had none
    assert "obfuscation" not in harness.last("response.function_call_arguments.delta")
    harness.answers = []
    content = [{"type": "text", "text": "Before."}]
    (created,) = harness.send(
        "conversation.item.create", item={"type": "message", "role": "assistant", "content": content}
    )
    assert created["type"] == "conversation.item.created"
    assert created["item"]["content"] == content


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"bogus": 1}, "unknown_parameter", "session.bogus"),
        ({"audio": {}}, "unknown_parameter", "session.audio"),
        ({"voice": "darth"}, "invalid_value", "session.voice"),
        ({"temperature": 3}, "decimal_above_max_value", "session.temperature"),
        ({"modalities": ["audio"]}, "invalid_value", "session.modalities"),
        ({"input_audio_format": "mp3"}, "invalid_value", "session.input_audio_format"),
        ({"turn_detection": {"type": "server_vad", "threshold": 7}}, None, "session.turn_detection.threshold"),
    ],
)
def test_errors_name_the_old_fields(session: dict[str, Any], code: str | None, param: str) -> None:
    (refused,) = opened().send("session.update", session=session, event_id="mine")
    error = refused["error"]
    assert (error["code"], error["param"]) == (code or error["code"], param)
    assert error["event_id"] == "mine"


def test_rubbish_is_refused_in_beta_too() -> None:
    for frame in (b"\0", "{", "[]", '{"type": "nope"}', '{"type": "conversation.item.create"}'):
        (refused,) = opened().frame(frame)
        assert refused["type"] == "error"


def test_a_program_of_october_2024_runs_against_a_beta_server() -> None:
    """The launch article's loop: old header, old model, the whole file pushed, ended by rate_limits.updated."""

    async def program(url: str) -> tuple[list[str], bytes]:
        kinds, audio = [], ""
        headers = {"Authorization": "Bearer practice", "OpenAI-Beta": "realtime=v1"}
        async with connect(f"{url}?model={MODEL}", additional_headers=headers, proxy=None) as ws:
            speech = SPEECH + bytes(24_000)
            for at in range(0, len(speech), 30_000):
                event = {"type": "input_audio_buffer.append", "audio": b64(speech[at : at + 30_000])}
                await ws.send(json.dumps(event))
            await ws.send(json.dumps({"type": "input_audio_buffer.commit"}))
            wanted = {"modalities": ["text", "audio"], "instructions": "Summarize this audio content"}
            await ws.send(json.dumps({"type": "response.create", "response": wanted}))
            async for message in ws:
                event = json.loads(message)
                kinds.append(event["type"])
                if event["type"] == "response.audio.delta":
                    audio += event["delta"]
                if event["type"] == "rate_limits.updated":
                    break
        return kinds, base64.b64decode(audio)

    with server.start(engines=False, beta=True, pace=0) as practice:
        kinds, audio = asyncio.run(program(practice.url))
    assert kinds[:2] == ["session.created", "conversation.created"]
    assert "response.audio_transcript.done" in kinds
    assert len(audio) > 24_000


def test_a_beta_server_speaks_ga_to_clients_that_do() -> None:
    async def first(url: str, headers: dict[str, str]) -> dict[str, Any]:
        async with connect(url, additional_headers={"Authorization": "Bearer x", **headers}, proxy=None) as ws:
            event: dict[str, Any] = json.loads(await ws.recv())
            return event

    with server.start(engines=False, beta=True) as practice:
        url = f"{practice.url}?model=gpt-realtime"
        assert "audio" in asyncio.run(first(url, {}))["session"]
        assert "modalities" in asyncio.run(first(url, {"OpenAI-Beta": "realtime=v1"}))["session"]


# ── Ephemeral secrets, as browsers had them ───────────────────────────────────────────────────────────────────


def post(practice: server.Practice, body: Any, path: str = "/v1/realtime/sessions") -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", practice.port, timeout=10)
    connection.request("POST", path, json.dumps(body), {"Authorization": "Bearer practice"})
    answer = connection.getresponse()
    result: dict[str, Any] = json.loads(answer.read())
    connection.close()
    return answer.status, result


def test_a_secret_of_the_beta_opens_the_session_it_was_made_for() -> None:
    async def opened(url: str, secret: str) -> dict[str, Any]:
        protocols = ["realtime", f"openai-insecure-api-key.{secret}", "openai-beta.realtime-v1"]
        async with connect(f"{url}?model={MODEL}", subprotocols=protocols, proxy=None) as ws:  # type: ignore[arg-type]
            session: dict[str, Any] = json.loads(await ws.recv())["session"]
            return session

    with server.start(engines=False, beta=True) as practice:
        wanted = {"model": MODEL, "voice": "verse", "modalities": ["text"], "instructions": "Be brief."}
        status, made = post(practice, wanted)
        assert (status, made["object"]) == (200, "realtime.session")
        assert (made["voice"], made["modalities"]) == ("verse", ["text"])
        assert made["client_secret"]["value"].startswith("ek_")
        session = asyncio.run(opened(practice.url, made["client_secret"]["value"]))
        assert {name: session[name] for name in wanted} == wanted
        for wrong, code in (({"model": "gpt-nope"}, "invalid_model"), ({"bogus": 1}, "unknown_parameter"), ([], None)):
            status, result = post(practice, wrong)
            assert status == 400
            assert result["error"]["code"] == code or code is None
    with server.start(engines=False) as practice:
        assert post(practice, {})[0] == 404  # GA has no such address


# ── Programs of October 2024, the way they were written ───────────────────────────────────────────────────────


def speech_file(path: Path, *, pause_seconds: float = 0.0) -> Path:
    """A recording at 24 kHz, the only rate the article's cells could send, with a pause at its end or without."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(SPEECH * 3 + bytes(2 * round(24_000 * pause_seconds)))
    return path


def article_cells(
    folder: Path, url: str, opened: Callable[[str, dict[str, str]], Any], *, pause_seconds: float = 0.0
) -> dict[str, Any]:
    """The launch article's walkthrough, cell by cell: upload, read, send with a bar, collect, join, play and save.

    Only the upload is left out, and how the socket is opened is given: `extra_headers` then, another word today.
    """
    from pydub import AudioSegment

    # The recording.
    audio_file = speech_file(folder / "question.wav", pause_seconds=pause_seconds)
    # Read it, and turn it into base64.
    with audio_file.open("rb") as file:
        samples = AudioSegment.from_file(file, format="wav")
    samples = samples.set_channels(1).set_sample_width(2)
    assert samples.frame_rate == 24_000
    whole = base64.b64encode(samples.raw_data).decode("utf-8")
    # Send it, and collect every event until the limits come.
    headers = {"Authorization": "Bearer practice", "OpenAI-Beta": "realtime=v1"}
    chunk_size = 1_024 * 4  # characters of base64: whole groups of four
    verbose, printed, events = True, [], []

    async def converse() -> None:
        async with opened(f"{url}?model={MODEL}", headers) as websocket:
            for at in tqdm(range(0, len(whole), chunk_size), desc="Sending", file=io.StringIO()):
                await websocket.send(
                    json.dumps({"type": "input_audio_buffer.append", "audio": whole[at : at + chunk_size]})
                )
            await websocket.send(json.dumps({"type": "input_audio_buffer.commit"}))
            wanted = {"modalities": ["text", "audio"], "instructions": "Summarize this audio content"}
            await websocket.send(json.dumps({"type": "response.create", "response": wanted}))
            async for message in websocket:
                event = json.loads(message)
                events.append(event)
                if verbose:
                    printed.append(event["type"])
                if event["type"] == "rate_limits.updated":
                    break

    asyncio.run(asyncio.wait_for(converse(), 30))
    # Join the answer's sound and save it.
    joined = "".join(event["delta"] for event in events if event["type"] == "response.audio.delta")
    answer = AudioSegment(base64.b64decode(joined), frame_rate=24_000, sample_width=2, channels=1)
    output = folder / "output_audio.wav"
    answer.export(output, format="wav").close()
    words = [event["transcript"] for event in events if event["type"] == "response.audio_transcript.done"]
    errors = {event["error"]["code"] for event in events if event["type"] == "error"}
    return {"printed": printed, "words": words, "output": output, "seconds": len(answer) / 1000, "errors": errors}


def then(url: str, headers: dict[str, str]) -> Any:
    """As it was opened with a `websockets` that still has `extra_headers`."""
    legacy = pytest.importorskip("websockets.legacy.client", reason="this websockets has no extra_headers any more")
    return legacy.connect(url, extra_headers=headers)


def today(url: str, headers: dict[str, str]) -> Any:
    """As it is opened with that one word changed."""
    return websockets.connect(url, additional_headers=headers)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Couldn't find ff:RuntimeWarning")
@pytest.mark.parametrize("opened", [then, today])
def test_the_articles_cells_run_as_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[[str, dict[str, str]], Any]
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with server.start(engines=canned("In short: it is only a test."), beta=True, pace=40) as practice:
        result = article_cells(tmp_path, practice.url, opened)
    assert result["printed"][:2] == ["session.created", "conversation.created"]
    assert result["printed"][-2:] == ["response.done", "rate_limits.updated"]
    assert {"input_audio_buffer.committed", "conversation.item.created"} <= set(result["printed"])
    assert "error" not in result["printed"]
    assert result["words"] == ["In short: it is only a test."]
    with wave.open(str(result["output"])) as saved:
        assert saved.getframerate() == 24_000
        assert saved.getnframes() / 24_000 == result["seconds"] > 1


def test_the_articles_cells_end_well_where_turn_detection_was_quicker_than_they(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause at the end of the recording ends the turn by itself: what the cells ask for then is there already."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with server.start(engines=canned("In short: it is only a test."), beta=True, pace=40) as practice:
        result = article_cells(tmp_path, practice.url, today, pause_seconds=2)
    assert result["printed"][-1] == "rate_limits.updated"
    assert result["errors"] <= {"input_audio_buffer_commit_empty", "conversation_already_has_active_response"}
    assert result["words"] == ["In short: it is only a test."]


def test_a_program_runs_with_the_websockets_of_its_time(tmp_path: Path) -> None:
    """In another Python that has `websockets` below 14: RTNB_OLD_WEBSOCKETS_PYTHON names it."""
    python = os.environ.get("RTNB_OLD_WEBSOCKETS_PYTHON")
    if not python:
        pytest.skip("RTNB_OLD_WEBSOCKETS_PYTHON names no Python with websockets<14")
    program = (
        "import asyncio, base64, json, sys, websockets\n"
        "async def main():\n"
        "    headers = {'Authorization': 'Bearer practice', 'OpenAI-Beta': 'realtime=v1'}\n"
        "    async with websockets.connect(sys.argv[1], extra_headers=headers) as websocket:\n"
        "        sound = base64.b64encode(open(sys.argv[2], 'rb').read()[44:]).decode()\n"
        "        await websocket.send(json.dumps({'type': 'input_audio_buffer.append', 'audio': sound}))\n"
        "        await websocket.send(json.dumps({'type': 'input_audio_buffer.commit'}))\n"
        "        await websocket.send(json.dumps({'type': 'response.create'}))\n"
        "        async for message in websocket:\n"
        "            event = json.loads(message)\n"
        "            print(event['type'])\n"
        "            if event['type'] == 'rate_limits.updated':\n"
        "                break\n"
        "asyncio.run(main())\n"
    )
    with server.start(engines=canned(), beta=True, pace=40) as practice:
        command = [python, "-c", program, f"{practice.url}?model={MODEL}", str(speech_file(tmp_path / "q.wav"))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["response.done", "rate_limits.updated"]


def test_the_whole_clip_in_one_item_is_answered_too() -> None:
    """The other way of the time: no buffer, a message that holds the recording and the words."""
    harness = opened()
    content = [{"type": "input_audio", "audio": b64(SPEECH)}, {"type": "input_text", "text": "Summarize this."}]
    message = {"type": "message", "status": "completed", "role": "user", "content": content}
    (created,) = harness.send("conversation.item.create", previous_item_id=None, item=message)
    assert [part["type"] for part in created["item"]["content"]] == ["input_audio", "input_text"]
    harness.send("response.create", response={"modalities": ["audio", "text"], "max_output_tokens": "inf"})
    harness.wait(0.1)
    assert harness.last("response.done")["response"]["status"] == "completed"
    usage = harness.last("response.done")["response"]["usage"]["input_token_details"]
    assert "image_tokens" not in usage
    assert "image_tokens" not in usage["cached_tokens_details"]


@pytest.mark.parametrize(
    ("session", "shown"),
    [
        ({"model": "gpt-4o-realtime-preview", "modalities": ["text"]}, {"modalities": ["text"], "model": MODEL}),
        ({"input_audio_transcription": {"model": "whisper-1"}}, {}),
        ({"input_audio_transcription": None, "tools": [], "tool_choice": "none"}, {"tool_choice": "none"}),
        ({"max_response_output_tokens": 4096}, {"max_response_output_tokens": 4096}),
        ({"output_audio_format": "g711_ulaw", "input_audio_format": "g711_alaw"}, {"output_audio_format": "g711_ulaw"}),
        (
            {"turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300}},
            {"input_audio_format": "pcm16"},
        ),
    ],
)
def test_settings_as_programs_of_the_time_sent_them(session: dict[str, Any], shown: dict[str, Any]) -> None:
    (updated,) = opened().send("session.update", session=session)
    assert updated["type"] == "session.updated"
    assert {name: updated["session"][name] for name in shown} == shown


def test_a_model_the_beta_did_not_have_is_refused() -> None:
    (refused,) = opened().send("session.update", session={"model": "gpt-realtime"})
    assert (refused["error"]["code"], refused["error"]["param"]) == ("invalid_value", "session.model")


def test_a_transcription_session_is_opened_for_old_programs_too():
    headers = {"OpenAI-Beta": "realtime=v1", "Authorization": "Bearer practice"}

    async def first(url):
        async with connect(url, additional_headers=headers) as socket:
            return json.loads(await socket.recv())

    with server.start(engines=False, beta=True) as practice:
        created = asyncio.run(first(f"{practice.url}?intent=transcription"))
    assert created["type"] == "session.created"
    assert created["session"]["type"] == "transcription"
