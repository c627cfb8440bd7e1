"""Faults on demand: what was asked for goes wrong, the same way each time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from practice_harness import MINI, SPEECH, b64
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rtnb.errors import InputError
from rtnb.server import server
from rtnb.server.faults import CLINIC, FAULTS, FaultInjector, Faults, draw, read_faults
from rtnb.server.protocol.effects import Close, Send
from rtnb.web.send_queue import CloseFrame, Drop, Frame

LIMITS = "rate_limits.updated"  # the last event of a turn


@pytest.fixture(scope="module")
def practice() -> Iterator[server.Practice]:
    with server.start(engines=False, pace=0) as running:
        yield running


def talk(
    practice: server.Practice, fault: str, *, turns: int = 1, seed: int = 1, last: str = LIMITS, **session: Any
) -> dict[str, Any]:
    """A conversation over a socket with a fault; gives everything that came up to `last`, and how it ended."""

    async def run() -> dict[str, Any]:
        events: list[Any] = []
        texts: list[str] = []
        loop = asyncio.get_running_loop()
        url = f"{practice.url}?model={MINI}&fault={fault}&seed={seed}"
        headers = {"Authorization": "Bearer practice"}
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            began, times, left = loop.time(), [], turns
            with contextlib.suppress(ConnectionClosed):  # it may have ended before the first word
                if session:
                    update = {"type": "realtime", **session}
                    await socket.send(json.dumps({"type": "session.update", "session": update}))
                await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": b64(SPEECH)}))
                await socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
                await socket.send(json.dumps({"type": "response.create"}))
            try:
                while left:
                    text = await asyncio.wait_for(socket.recv(), 10)
                    texts.append(str(text))
                    times.append(loop.time() - began)
                    try:
                        events.append(json.loads(text))
                    except ValueError:
                        continue
                    if events[-1]["type"] == "response.done":
                        left -= 1
                        if left:
                            await socket.send(json.dumps({"type": "response.create"}))
                patience = 10 if last else 0.3
                while events[-1]["type"] != last:
                    events.append(json.loads(await asyncio.wait_for(socket.recv(), patience)))
                    times.append(loop.time() - began)
            except (ConnectionClosed, TimeoutError):
                pass
            return {
                "events": events,
                "types": [event["type"] for event in events],
                "texts": texts,
                "times": times,
                "code": socket.close_code,
                "done": [event["response"] for event in events if event["type"] == "response.done"],
            }

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["quota", "rate_limit", "server_error"])
def test_responses_fail_with_their_code(practice: server.Practice, name: str) -> None:
    codes = {"quota": "insufficient_quota", "rate_limit": "rate_limit_exceeded", "server_error": None}
    (failed,) = talk(practice, name)["done"]
    assert (failed["status"], failed["usage"]["total_tokens"]) == ("failed", 0)
    assert failed["status_details"]["error"]["code"] == codes[name]


def test_only_the_second_response_fails(practice: server.Practice) -> None:
    done = talk(practice, "rate_limit:2", turns=3)["done"]
    assert [response["status"] for response in done] == ["completed", "failed", "completed"]


def test_error_events_unknown_events_and_half_frames_come_where_asked(practice: server.Practice) -> None:
    assert talk(practice, "error:3")["types"][3] == "error"
    unknown = talk(practice, "unknown:2")
    assert unknown["types"][2] == "practice.unknown"
    assert unknown["done"]
    half = talk(practice, "malformed:2")
    with pytest.raises(ValueError, match=r".+"):
        json.loads(half["texts"][1])
    assert half["done"]


def test_rate_limits_do_not_come_or_come_late(practice: server.Practice) -> None:
    assert "rate_limits.updated" not in talk(practice, "no_rate_limits", last="")["types"]
    late = talk(practice, "late_rate_limits:0.1")
    done, limits = (late["times"][late["types"].index(kind)] for kind in ("response.done", "rate_limits.updated"))
    assert 0.08 < limits - done < 1


def test_sockets_drop_and_close_where_asked(practice: server.Practice) -> None:
    dropped = talk(practice, "drop:4")
    assert (len(dropped["events"]), dropped["code"]) == (4, 1006)
    closed = talk(practice, "close:1011:3")
    assert (len(closed["events"]), closed["code"]) == (3, 1011)
    assert talk(practice, "close:4999")["code"] == 4999


def test_the_last_chunk_may_be_odd(practice: server.Practice) -> None:
    chunks = [
        base64.b64decode(event["delta"])
        for event in talk(practice, "odd_last_chunk")["events"]
        if event["type"] == "response.output_audio.delta"
    ]
    assert len(chunks[-1]) % 2 == 1
    assert len(b"".join(chunks)) % 2 == 0


def test_a_faint_voice_says_the_same_much_more_quietly(practice: server.Practice) -> None:
    loud, faint = (
        b"".join(
            base64.b64decode(event["delta"])
            for event in talk(practice, name)["events"]
            if event["type"] == "response.output_audio.delta"
        )
        for name in ("burst", "faint")
    )
    loudest = int(np.abs(np.frombuffer(loud, np.int16)).max())
    assert 0 < np.abs(np.frombuffer(faint, np.int16)).max() <= loudest // 40 + 1
    assert len(faint) == len(loud)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_clinic_draws_a_fault_of_its_level_and_keeps_it_to_itself(level: int) -> None:
    names = {name.partition(":")[0] for name in CLINIC[level - 1]}
    drawn = {draw(f"clinic:{level}", seed) for seed in range(40)}
    assert drawn == set(CLINIC[level - 1])
    assert draw(f"burst,clinic:{level}", 5).startswith("burst,")
    with server.start(engines=False, faults=f"clinic:{level}") as patient:
        (found,) = (name for name in FAULTS if patient.has_fault(name))
        assert found in names
        assert not patient.has_fault("clinic")
        shown = f"{patient!r} {patient.url} {patient.base_url}"
        assert not any(name in shown for name in names)


def test_only_the_server_draws_and_only_of_levels_there_are() -> None:
    for wrong in ("clinic:4", "clinic"):
        with pytest.raises(InputError, match="no fault 'clinic'"):
            server.start(faults=wrong)
    with pytest.raises(InputError):
        read_faults("clinic:1")


def test_events_are_delayed_and_drip(practice: server.Practice) -> None:
    assert talk(practice, "delay:0.2")["times"][0] > 0.15
    times = talk(practice, "drip:0.02", output_modalities=["text"])["times"]
    assert times[-1] - times[0] > 0.015 * (len(times) - 1)


def test_transcription_comes_late_and_in_its_own_order(practice: server.Practice) -> None:
    heard = {"audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}}
    plain = talk(practice, "", **heard)["types"]
    mixed = talk(practice, "reorder", seed=3, **heard)["types"]
    assert sorted(plain) == sorted(mixed)
    assert plain != mixed
    others = [[kind for kind in kinds if "transcription" not in kind] for kinds in (plain, mixed)]
    assert others[0] == others[1]


def test_the_same_events_are_reordered_alike_by_the_same_seed() -> None:
    # When a recogniser is done is nobody's to seed; what becomes of its words is.
    kinds = ["input_audio_buffer.committed", "conversation.item.input_audio_transcription.completed"]
    kinds += ["conversation.item.added", "conversation.item.done", "response.created", "response.output_item.added"]

    def order(seed: int) -> list[str]:
        injector = FaultInjector(Faults(reorder=True), random.Random(seed))
        sent = [injector.frames(Send(0.0, {"type": kind})) for kind in [*kinds, "response.done", "rate_limits.updated"]]
        return [json.loads(frame.text)["type"] for frames in sent for frame in frames if isinstance(frame, Frame)]

    assert order(3) == order(3)
    assert len({tuple(order(seed)) for seed in range(20)}) > 1
    assert all(sorted(order(seed)) == sorted([*kinds, "response.done", "rate_limits.updated"]) for seed in range(20))


def test_engines_fail_on_purpose(practice: server.Practice) -> None:
    heard = {"audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}}
    streams = {"audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}, "turn_detection": None}}}
    assert "conversation.item.input_audio_transcription.failed" in talk(practice, "deaf", **streams)["types"]
    deaf = talk(practice, "deaf", **heard)
    assert "conversation.item.input_audio_transcription.failed" in deaf["types"]
    assert deaf["done"][0]["status"] == "completed"
    mute = talk(practice, "mute")
    assert mute["done"][0]["status"] == "failed"
    assert "response.output_audio.delta" in mute["types"] or mute["done"][0]["output"]


def test_upgrades_and_keys_are_refused(practice: server.Practice) -> None:
    with pytest.raises(InvalidStatus) as refused:
        talk(practice, "refuse:403")
    assert refused.value.response.status_code == 403
    denied = talk(practice, "invalid_key")
    assert (denied["events"][0]["error"]["code"], denied["code"]) == ("invalid_api_key", 3000)


def test_sessions_expire_early(practice: server.Practice) -> None:
    ended = talk(practice, "expire:0.1", last="never")
    assert (ended["types"][-1], ended["code"]) == ("error", 1001)


def test_faults_of_the_server_and_of_the_url_add_up() -> None:
    with server.start(engines=False, pace=0, faults="no_rate_limits") as running:
        told = talk(running, "unknown:1", last="")
        assert "rate_limits.updated" not in told["types"]
        assert "practice.unknown" in told["types"]


# ------------------------------------------------------------------ without sockets


def test_every_fault_can_be_read() -> None:
    numbers = {"close": ":1011", "refuse": ":403"} | dict.fromkeys(("error", "drop", "malformed", "unknown"), ":3")
    numbers |= dict.fromkeys(("late_rate_limits", "delay", "jitter", "drip", "pace", "expire"), ":0.5")
    for name in FAULTS:
        faults = read_faults(name + numbers.get(name, ""))
        assert faults
        assert getattr(faults, name) == getattr(Faults().merged(faults), name)
    assert read_faults("") == Faults()


@pytest.mark.parametrize(
    "wrong", ["nonsense", "drop", "drop:0", "drop:x", "delay:-1", "close:1005", "refuse:200", "burst:1"]
)
def test_what_is_no_fault_is_refused(wrong: str) -> None:
    with pytest.raises(InputError):
        read_faults(wrong)


def test_jitter_keeps_the_order_and_repeats_with_its_seed() -> None:
    def due(seed: int) -> list[float]:
        injector = FaultInjector(read_faults("jitter:0.5,delay:1"), random.Random(seed))
        frames = [
            frame for n in range(50) for frame in injector.frames(Send(n / 100, {"type": "x", "event_id": str(n)}))
        ]
        return [frame.at for frame in frames]

    assert due(1) == due(1) != due(2)
    assert due(1) == sorted(due(1))
    assert all(1 + n / 100 <= at for n, at in enumerate(due(1)))


def test_nothing_goes_out_after_the_end() -> None:
    injector = FaultInjector(read_faults("drop:1"), random.Random(1))
    first = injector.frames(Send(0, {"type": "x"}))
    assert [type(frame) for frame in first] == [Frame, Drop]
    assert injector.frames(Send(0, {"type": "y"})) == []
    injector = FaultInjector(Faults(), random.Random(1))
    assert [type(frame) for frame in injector.frames(Close(0, 1000, ""))] == [CloseFrame]
    assert injector.frames(Send(0, {"type": "y"})) == []
