"""Whatever a client sends, the practice server says only what is legal, and every response ends exactly once."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from practice_harness import FIRST, MINI, SPEECH, Harness, b64
from practice_shapes import check

from rtnb.protocol.event_types import CLIENT_EVENTS
from rtnb.server.protocol.requests import Call, Text
from rtnb.server.protocol.session import Options

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}
ANSWERS = [
    [],
    [Text("Yes.")],
    [Text("Yes."), Text("And no, in a way that takes a few more words.")],
    [Call("look", {"a": 1})],
    [Text("One moment."), Call("look", {}), Call("look", {"b": [1, 2]})],
    [Text("Well."), RuntimeError("no answer")],
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5_000) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


class Conversations(RuleBasedStateMachine):
    """A client that sends anything in any order, engines that answer when they like."""

    @initialize(
        model=st.sampled_from([MINI, FIRST]),
        pace=st.sampled_from([0.0, 12.0]),
        holds=st.sets(st.sampled_from(["transcribe", "respond", "speak", "detect"])),
        push=st.booleans(),
    )
    def open(self, model: str, pace: float, holds: set[str], push: bool) -> None:
        self.model = model
        self.harness = Harness(model, holds=holds, options=Options(pace=pace))
        self.rules = Legal(self.harness.events)
        if push:
            self.harness.push_to_talk()

    # ------------------------------------------------------------------ the client

    @rule(text=st.text(max_size=20), after=st.sampled_from([None, "root", "item_none", "item_a"]), own=st.booleans())
    def item(self, text: str, after: str | None, own: bool) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content, **({"id": "item_a"} if own else {})}
        self.harness.send("conversation.item.create", item=item, previous_item_id=after)

    @rule(
        answer=st.sampled_from(ANSWERS),
        wanted=st.sampled_from(
            [
                {},
                {"conversation": "none"},
                {"output_modalities": ["text"]},
                {"conversation": "none", "output_modalities": ["text"], "input": []},
                {"max_output_tokens": 3},
                {"tool_choice": "none"},
                {"audio": {"output": {"format": {"type": "audio/pcmu"}}}},
                {"modalities": ["text"]},
            ]
        ),
    )
    def respond(self, answer: list[Any], wanted: dict[str, Any]) -> None:
        self.harness.answers = answer
        sent = self.harness.send("response.create", response=wanted)
        assert sent
        assert {event["type"] for event in sent} & {"response.created", "error"}

    @rule(which=st.sampled_from([None, "last", "resp_none"]))
    def cancel(self, which: str | None) -> None:
        created = self.harness.of("response.created")
        response_id = created[-1]["response"]["id"] if which == "last" and created else which
        self.harness.send("response.cancel", response_id=response_id)

    @rule(loud=st.booleans(), seconds=st.sampled_from([0.01, 0.3, 1.0]))
    def append(self, loud: bool, seconds: float) -> None:
        size = int(seconds * 24_000) * 2
        self.harness.append(SPEECH[:size] if loud else bytes(size))

    @rule()
    def commit(self) -> None:
        self.harness.send("input_audio_buffer.commit")

    @rule()
    def clear(self) -> None:
        self.harness.send("input_audio_buffer.clear")

    @rule(
        vad=st.sampled_from(
            [
                None,
                {"type": "server_vad", "silence_duration_ms": 200},
                {"type": "server_vad", "silence_duration_ms": 500},
                {"type": "server_vad", "create_response": False},
                {"type": "server_vad", "interrupt_response": False, "idle_timeout_ms": 5000},
                {"type": "semantic_vad", "eagerness": "high"},
            ]
        )
    )
    def turn_detection(self, vad: dict[str, Any] | None) -> None:
        self.harness.update(audio={"input": {"turn_detection": vad}})

    @rule(
        patch=st.sampled_from(
            [
                {"output_modalities": ["text"]},
                {"output_modalities": ["audio"]},
                {"tools": [TOOL], "tool_choice": "auto"},
                {"tools": []},
                {"audio": {"output": {"voice": "cedar"}}},
                {"audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}},
                {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe-diarize"}}}},
                {
                    "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}},
                    "include": ["item.input_audio_transcription.logprobs"],
                },
                {"audio": {"input": {"transcription": None}}},
                {"audio": {"input": {"format": {"type": "audio/pcma"}}}},
                {"instructions": "x", "bogus": 1},
            ]
        )
    )
    def update(self, patch: dict[str, Any]) -> None:
        before = copy.deepcopy(self.harness.session.settings)
        (sent, *_) = self.harness.update(**patch)
        if sent["type"] == "error":
            assert self.harness.session.settings == before

    @rule(
        doing=st.sampled_from(["delete", "retrieve", "truncate"]), which=st.integers(0, 30), ms=st.integers(-5, 2_000)
    )
    def touch(self, doing: str, which: int, ms: int) -> None:
        ids = [event["item"]["id"] for event in self.harness.of("conversation.item.added")] or ["item_none"]
        extra = {"content_index": 0, "audio_end_ms": ms} if doing == "truncate" else {}
        self.harness.send(f"conversation.item.{doing}", item_id=ids[which % len(ids)], **extra)

    @rule()
    def function_output(self) -> None:
        calls = self.harness.of("response.function_call_arguments.done")
        call_id = calls[-1]["call_id"] if calls else "call_none"
        item = {"type": "function_call_output", "call_id": call_id, "output": "{}"}
        self.harness.send("conversation.item.create", item=item)

    @rule(
        kind=st.sampled_from(CLIENT_EVENTS),
        fields=st.dictionaries(
            st.sampled_from(
                ["session", "item", "item_id", "audio", "response", "response_id", "audio_end_ms", "event_id"]
            ),
            JSON,
            max_size=3,
        ),
    )
    def anything(self, kind: str, fields: dict[str, Any]) -> None:
        sent = self.harness.send(kind, **fields)
        event_id = fields.get("event_id")
        for event in sent:
            if event["type"] == "error":
                assert event["error"]["event_id"] in (None, event_id)

    @rule(frame=st.text(max_size=30) | st.binary(max_size=30))
    def rubbish(self, frame: str | bytes) -> None:
        sent = self.harness.frame(frame)
        assert sent
        assert sent[-1]["type"] == "error"

    @rule(audio=st.text(max_size=12))
    def bad_audio(self, audio: str) -> None:
        self.harness.send("input_audio_buffer.append", audio=audio)

    @rule(audio=st.binary(min_size=1, max_size=9))
    def odd_audio(self, audio: bytes) -> None:
        self.harness.send("input_audio_buffer.append", audio=b64(audio))

    # ------------------------------------------------------------------ time and engines

    @rule(engine=st.sampled_from(["transcribe", "respond", "speak", "detect"]))
    def engine_answers(self, engine: str) -> None:
        self.harness.release(engine)
        self.harness.holds.add(engine)

    @rule(seconds=st.sampled_from([0.001, 0.04, 1.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.harness.wait(seconds)

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def nothing_illegal_was_said(self) -> None:
        if hasattr(self, "rules"):
            self.rules.read(self.model)

    def teardown(self) -> None:
        if not hasattr(self, "harness"):
            return
        while self.harness.held:
            self.harness.release()
        self.harness.wait(60)
        while self.harness.held:
            self.harness.release()
        self.harness.wait(60)
        self.rules.read(self.model)
        self.rules.over()


class Legal:
    """What may follow what, read from the events alone."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = events
        self.seen = 0
        self.ids: set[str] = set()
        self.items: dict[str, str] = {}  # id → added | done | deleted
        self.responses: dict[str, dict[str, Any]] = {}
        self.open_parts: set[tuple[str, str]] = set()
        self.written: dict[str, str] = {}
        self.transcribed: set[str] = set()

    def read(self, model: str) -> None:
        for event in self.events[self.seen :]:
            assert event["event_id"] not in self.ids
            self.ids.add(event["event_id"])
            check(event, model)
            self._items(event)
            self._responses(event)
            self._transcripts(event)
        self.seen = len(self.events)

    def _items(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "conversation.item.added":
            assert self.items.get(event["item"]["id"]) in (None, "deleted")
            assert event["previous_item_id"] is None or self.items[event["previous_item_id"]] != "deleted"
            self.items[event["item"]["id"]] = "added"
        elif kind == "conversation.item.done":
            assert self.items[event["item"]["id"]] == "added"
            self.items[event["item"]["id"]] = "done"
        elif kind == "conversation.item.deleted":
            assert self.items[event["item_id"]] in ("added", "done")
            self.items[event["item_id"]] = "deleted"
        elif kind == "conversation.item.truncated":
            assert self.items[event["item_id"]] in ("added", "done")

    def _responses(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "response.created":
            response = event["response"]
            assert response["id"] not in self.responses
            if response["conversation_id"] is not None:
                running = [r for r in self.responses.values() if r["status"] == "in_progress" and r["conversation_id"]]
                assert not running, "two responses write to the conversation"
            self.responses[response["id"]] = {**response, "items": {}}
            return
        if kind == "response.done":
            response = event["response"]
            known = self.responses[response["id"]]
            assert known["status"] == "in_progress", "a response ended twice"
            assert response["status"] in ("completed", "cancelled", "incomplete", "failed")
            assert (response["status_details"] is None) == (response["status"] == "completed")
            assert set(known["items"].values()) <= {"done"}
            assert [item["id"] for item in response["output"]] == list(known["items"])
            assert not [part for part in self.open_parts if part[0] == response["id"]]
            if response["status"] == "completed":
                assert all(item["status"] == "completed" for item in response["output"])
            usage = response["usage"]
            assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
            assert usage["input_token_details"]["cached_tokens"] % 64 == 0
            known["status"] = response["status"]
            return
        if not kind.startswith("response."):
            return
        response = self.responses[event["response_id"]]
        assert response["status"] == "in_progress", f"{kind} after the end"
        part = (event["response_id"], event.get("item_id", ""))
        if kind == "response.output_item.added":
            response["items"][event["item"]["id"]] = "added"
            assert event["output_index"] == len(response["items"]) - 1
        elif kind == "response.output_item.done":
            assert response["items"][event["item"]["id"]] == "added"
            response["items"][event["item"]["id"]] = "done"
        else:
            assert response["items"][event["item_id"]] == "added"
            if kind == "response.content_part.added":
                self.open_parts.add(part)
            elif kind == "response.content_part.done":
                self.open_parts.remove(part)
            elif "function_call" not in kind:
                assert part in self.open_parts
            self._words(event)

    def _transcripts(self, event: dict[str, Any]) -> None:
        _, found, step = event["type"].partition("input_audio_transcription.")
        if found:
            assert event["item_id"] not in self.transcribed, f"{step} after the transcript's end"
            if step in ("completed", "failed"):
                assert self.items[event["item_id"]] in ("done", "deleted")
                self.transcribed.add(event["item_id"])

    def _words(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        key = event["item_id"]
        if kind.endswith(("text.delta", "transcript.delta", "arguments.delta")):
            self.written[key] = self.written.get(key, "") + event["delta"]
            assert (len(event["delta"]) + len(event["obfuscation"])) % 16 == 0
        elif kind.endswith(("text.done", "transcript.done", "arguments.done")):
            whole = event.get("text", event.get("transcript", event.get("arguments")))
            assert whole == self.written.get(key, "")

    def over(self) -> None:
        assert all(response["status"] != "in_progress" for response in self.responses.values())
        assert all(state in ("done", "deleted") for state in self.items.values())


TestConversations = Conversations.TestCase
TestConversations.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
