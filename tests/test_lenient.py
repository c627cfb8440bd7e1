"""Fields of other types than the API's, parts that come late or only at the end: read, kept, and told."""

import base64
import io
import json
import wave

import numpy as np
import pytest
from dialogue import serve, until, usage
from test_border import CREATED, ITEM, PART, dialogue, done, words

import rtnb
from rtnb import asking
from rtnb.audio import Clip
from rtnb.errors import InputError, ResponseFailed, ServerError
from rtnb.opening import connect
from rtnb.protocol import frames, server_events
from rtnb.protocol.conversation import Conversation
from rtnb.protocol.updates import Odd
from rtnb.session import following

PCM = bytes(range(240)) * 20
TEXT = {"type": "response.output_text.delta", **PART, "delta": "Whole."}
SOUND = {"type": "response.output_audio.delta", **PART, "delta": frames.encode_audio(PCM)}
DONE = done([words("Whole.", "output_text")], usage=usage(output_text=3))


def ask(*frames, **wanted):
    """Ask one question of a server that answers with these frames; return its reply and its session."""
    with serve(dialogue(*frames)) as url, connect(url=url, **wanted) as chat:
        reply = chat.ask("Hi").wait(20)
        return reply, chat


@pytest.fixture
def clip():
    return Clip.from_array(np.sin(np.arange(24_000) * 0.05) / 4, rate_hz=24_000)


def odd(chat):
    return [warning for warning in chat.warnings if warning.startswith("The server sent")]


def wav(pcm, rate_hz=24_000):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return out.getvalue()


# --- fields of other types --------------------------------------------------------------------------------------------

ODD_DELTAS = [
    (5, "5"),
    (2.5, "2.5"),
    (True, "true"),
    ({"text": "five"}, "five"),
    ({"content": 5}, '{"content": 5}'),
    (["fi", {"text": "ve"}], "five"),
    ([], ""),
    ({}, ""),
]


@pytest.mark.parametrize(("delta", "text"), ODD_DELTAS)
def test_words_of_another_type_are_read_as_text_and_told_once(delta, text):
    reply, chat = ask(CREATED, {**TEXT, "delta": delta}, {**TEXT, "delta": delta}, TEXT, done())
    assert (reply.status, reply.text) == ("completed", text * 2 + "Whole.")
    assert len(odd(chat)) == 1
    assert odd(chat) == reply.warnings
    assert "as its delta" in odd(chat)[0]
    received = [entry.event["delta"] for entry in chat.log if entry.type == TEXT["type"]]
    assert received == [delta, delta, "Whole."]


@pytest.mark.parametrize("field", ["audio", "data"])
@pytest.mark.parametrize("rest", [{}, {"delta": None}], ids=str)
def test_audio_in_another_field_than_delta_is_the_same_audio_and_told_once(field, rest):
    moved = {name: value for name, value in SOUND.items() if name != "delta"} | rest | {field: SOUND["delta"]}
    reply, chat = ask(CREATED, TEXT, moved, SOUND, moved, done())
    assert reply.audio is not None
    assert reply.audio.pcm == PCM * 3
    (told,) = odd(chat)
    assert told.startswith(f"The server sent audio in its field {field}, which is not the API's form.")
    received = [entry.event for entry in chat.log if entry.type == SOUND["type"]]
    assert [event.get(field) for event in received] == [SOUND["delta"], None, SOUND["delta"]]


@pytest.mark.parametrize("delta", [None, ""])
def test_null_in_place_of_words_is_nothing_and_not_odd(delta):
    reply, chat = ask(CREATED, {**TEXT, "delta": delta}, TEXT, done())
    assert (reply.text, odd(chat)) == ("Whole.", [])


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": {**usage(output_text=3), "output_tokens": "3"}},
        {"usage": {**usage(output_text=3), "output_tokens": 3.0}},
        {"usage": json.dumps(usage(output_text=3))},
        {"usage": [usage(output_text=3)]},
        {"usage": {**usage(output_text=3), "input_token_details": {"cached_tokens": -5, "text_tokens": "many"}}},
        {"output": words("Whole.", "output_text")},
        {"output": [{**words("Whole.", "output_text"), "content": {"type": "output_text", "text": "Whole."}}]},
        {"output": [{**words("Whole.", "output_text"), "content": "Whole."}]},
        {"metadata": []},
        {"metadata": {"rtnb_side": ["x"]}},
        {"status_details": []},
        {"status": ["completed"]},
        {"status": {"type": "completed"}},
        {"conversation_id": 5},
    ],
)
def test_an_end_with_fields_of_other_types_is_whole(fields):
    ending = {"type": "response.done", "response": {**DONE["response"], **fields}}
    reply, _ = ask(CREATED, TEXT, ending)
    assert (reply.status, reply.text, reply.usage.output_tokens) == ("completed", "Whole.", 3)


@pytest.mark.parametrize("tokens", [10**18, 1e300, 10**400])
def test_very_large_numbers_are_kept_within_what_can_be_counted(tokens):
    ending = json.dumps(done(usage={**usage(output_text=3), "input_tokens": 0})).replace(
        '"input_tokens": 0', f'"input_tokens": {tokens}'
    )
    reply, chat = ask(CREATED, {**TEXT, "content_index": tokens if tokens < 10**300 else 1}, ending)
    assert reply.text == "Whole."
    assert reply.usage.input_tokens in (0, 2**53 - 1)
    assert reply.cost is not None
    assert odd(chat)


@pytest.mark.parametrize("arguments", [{"seat": 3}, [{"seat": 3}][0], '{"seat": 3}', '{\n"seat": 3}\n'])
def test_arguments_as_an_object_are_those_of_the_call(arguments):
    ran = []

    def book(seat: int) -> str:
        """Book a seat."""
        ran.append(seat)
        return "booked"

    call = {"id": "f", "type": "function_call", "name": "book", "call_id": "call_1", "arguments": arguments}

    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        item = {"response_id": "resp_1", "output_index": 0, "item": call}
        talk.say(CREATED, {"type": "response.output_item.added", **item})
        talk.say({"type": "response.output_item.done", **item}, done([call, call]))
        output = talk.expect("conversation.item.create")["item"]
        talk.say({"type": "conversation.item.added", "item": {**output, "id": "o"}})
        talk.answer("Done.", id="resp_2", item_id="item_2")

    with serve(script) as url, connect(url=url, tools=[book]) as chat:
        reply = chat.ask("Hi").wait(20)
        assert (reply.text, ran, [ran.arguments for ran in reply.tool_calls]) == ("Done.", [3], [{"seat": 3}])
        assert next(turn.words for turn in chat.turns if turn.type == "function_call").startswith("book({")


def test_what_json_has_not_is_told_once():
    nan = json.dumps(TEXT).replace('"content_index": 0', '"content_index": NaN')
    reply, chat = ask(CREATED, nan, nan, DONE)
    assert reply.text == "Whole.Whole." or reply.text == "Whole."
    assert len([warning for warning in chat.warnings if "NaN" in warning]) == 1
    assert reply.warnings == chat.warnings


def test_an_event_too_deep_to_be_written_again_is_told_and_kept_as_text(tmp_path):
    deep = '{"type": "response.brand_new", "x": ' + "[" * 400 + "]" * 400 + "}"
    deeper = '{"type": "response.brand_new", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    reply, chat = ask(CREATED, deep, deeper, TEXT, DONE, verbose=True)
    assert (reply.status, reply.text) == ("completed", "Whole.")
    assert sum(entry.type == "rtnb.malformed" for entry in chat.log) == 2
    assert chat.save(tmp_path / "deep.rtnb").exists()


@pytest.mark.parametrize("frame", [json.dumps([CREATED, TEXT, DONE]), json.dumps([[], TEXT]), "[]", "[1]", "[{}]"])
def test_a_list_of_events_is_those_events_and_any_other_list_is_told(frame):
    reply, chat = ask(*([] if "created" in frame else [CREATED]), frame, *([] if "done" in frame else [TEXT, DONE]))
    assert (reply.status, reply.text) == ("completed", "Whole.")
    told = [warning for warning in chat.warnings if "cannot be read" in warning]
    assert bool(told) == ("created" not in frame)


def test_ordinary_events_of_the_reference_are_not_odd():
    reply, chat = ask(CREATED, TEXT, SOUND, DONE)
    assert (reply.warnings, chat.warnings) == ([], [])
    for event in (CREATED, TEXT, SOUND, DONE):
        assert server_events.read(event) == (event, [])


@pytest.mark.parametrize("session", [None, [], {}, "x", 5, [5], {"id": 5, "audio": "x"}, {"audio": {"input": []}}])
def test_a_session_of_another_form_is_one(session):
    def script(talk):
        talk.say({"type": "session.created", "session": session})
        talk.expect("session.update")
        talk.say({"type": "session.updated", "session": session})
        talk.take_message()
        talk.answer("Here.")

    with serve(script) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(20).text == "Here."


def test_what_lasts_of_an_odd_session_can_be_shown_saved_and_replayed(tmp_path):
    reply, chat = ask(
        CREATED,
        {**TEXT, "delta": {"text": "Who"}, "item_id": 5},
        {"type": "input_audio_buffer.speech_started", "item_id": ["x"], "audio_start_ms": "1e3"},
        {"type": "input_audio_buffer.speech_stopped", "item_id": {"id": "x"}, "audio_end_ms": {}},
        {"type": "conversation.item.truncated", "item_id": "item_1", "audio_end_ms": "many"},
        {"type": "conversation.item.added", "item": {"id": 7, "content": ["typed", 5], "role": ["user"]}},
        {"type": "rate_limits.updated", "rate_limits": {"name": "tokens", "limit": "5", "remaining": []}},
        {"type": "mcp_list_tools.completed", "item_id": 5},
        {**SOUND, "item_id": ["item_1"]},
        {"type": "conversation.item.done", "item": {"id": "m", "type": "mcp_list_tools", "tools": ["a", {"name": 5}]}},
        {**DONE, "response": {**DONE["response"], "output": [5, {**words("le."), "content": ["le."]}]}},
    )
    assert chat._repr_html_()
    assert chat.timeline()._repr_html_()
    assert repr(chat.bill)
    assert repr(chat.limits)
    saved = chat.save(tmp_path / "odd.rtnb")
    with connect(replay=saved) as again:
        assert again.ask("Hi").wait(20).text == reply.text


# --- fields that are not there ----------------------------------------------------------------------------------------


def without(event, *names):
    return {name: value for name, value in event.items() if name not in names}


@pytest.mark.parametrize(
    "events",
    [
        [CREATED, without(TEXT, "response_id"), done()],
        [CREATED, without(TEXT, "item_id"), done()],
        [CREATED, without(TEXT, "response_id", "item_id", "content_index", "output_index"), done()],
        [CREATED, TEXT, {"type": "response.done"}],
        [CREATED, TEXT, {"type": "response.done", "response": {"status": "completed"}}],
        [CREATED, TEXT, {"type": "response.done", "response": None}],
        [{"type": "response.created"}, without(TEXT, "response_id"), {"type": "response.done"}],
        [{"type": "response.created", "response": {}}, without(TEXT, "response_id"), {"type": "response.done"}],
        [without(TEXT, "response_id"), {"type": "response.done"}],
        [TEXT, CREATED, done()],
        [CREATED, CREATED, TEXT, done(), done()],
        [TEXT, done(), CREATED],
    ],
)
def test_ids_that_are_missing_events_said_twice_and_another_order(events):
    reply, _ = ask(*events)
    assert (reply.status, reply.text, len(reply.responses)) == ("completed", "Whole.", 1)


def test_a_server_that_leaves_the_conversation_null_answers_in_it_all_the_same():
    nowhere = {**CREATED, "response": {**CREATED["response"], "conversation_id": None}}
    ending = {**DONE, "response": {**DONE["response"], "conversation_id": None}}
    reply, chat = ask(nowhere, TEXT, ending)
    assert (reply.status, reply.text) == ("completed", "Whole.")
    assert [turn.words for turn in chat.turns] == ["Hi", "Whole."]


def test_items_without_ids_are_those_of_their_place():
    item = {"type": "message", "role": "assistant", "content": []}
    said = {**item, "content": [{"type": "output_text", "text": "Whole."}]}
    reply, _ = ask(
        CREATED,
        {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": item},
        TEXT,
        {"type": "response.output_item.done", "response_id": "resp_1", "output_index": 0, "item": said},
        done([said]),
    )
    assert reply.text == "Whole."


def fold(*events):
    talk = Conversation()
    return talk, [update for event in events for update in talk.apply(event)]


def test_what_is_said_twice_begins_ends_is_billed_and_called_once():
    call = {"id": "f", "type": "function_call", "name": "book", "call_id": "call_1", "arguments": "{}"}
    transcript = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "u", "content_index": 0}
    committed = {"type": "input_audio_buffer.committed", "item_id": "u"}
    talk, updates = fold(
        *[committed] * 2,
        *[CREATED] * 2,
        *[{"type": "response.output_item.done", "response_id": "resp_1", "item": call}] * 2,
        *[{**transcript, "transcript": "Hi", "usage": {"type": "duration", "seconds": 3}}] * 2,
        *[done([call, call])] * 2,
    )
    kinds = [type(update).__name__ for update in updates]
    counts = {name: kinds.count(name) for name in ("Committed", "ResponseStarted", "ResponseEnded", "ToolCalled")}
    assert counts == dict.fromkeys(counts, 1)
    assert len(talk.transcribed) == 1
    assert [update.final for update in updates if hasattr(update, "final")] == [
        True,
        False,
    ]
    assert not talk.response("resp_1").active


# --- what comes only at the end, or after it --------------------------------------------------------------------------

SPOKEN = {**ITEM, "content": [{"type": "output_audio", "audio": frames.encode_audio(PCM), "transcript": "Whole."}]}


@pytest.mark.parametrize(
    "events",
    [
        [done([SPOKEN])],
        [{"type": "response.output_item.done", "response_id": "resp_1", "item": SPOKEN}, done([SPOKEN])],
        [{"type": "conversation.item.done", "item": SPOKEN}, done([SPOKEN])],
        [{"type": "response.content_part.done", **PART, "part": SPOKEN["content"][0]}, done([SPOKEN])],
        [{**SOUND, "delta": frames.encode_audio(PCM[:1001])}, done([SPOKEN])],
        [SOUND, {"type": "response.output_item.done", "response_id": "resp_1", "item": SPOKEN}, done([SPOKEN])],
        [SOUND, done([words("Whole.")])],
    ],
)
def test_sound_that_only_a_final_object_brings_is_the_answers(events):
    with serve(dialogue(CREATED, *events)) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        pieces = list(reply)
        assert (reply.text, reply.audio.array.tobytes()) == ("Whole.", PCM)
        assert b"".join(piece.audio.array.tobytes() for piece in pieces if piece.audio) == PCM


def test_sound_in_a_final_object_that_is_no_base64_is_told_and_costs_nothing_else():
    broken = {**SPOKEN, "content": [{"type": "output_audio", "audio": "§§§", "transcript": "Whole."}]}
    reply, _chat = ask(CREATED, done([broken]))
    assert (reply.status, reply.text, reply.audio) == ("completed", "Whole.", None)
    assert any("audio that cannot be read" in warning for warning in reply.warnings)


LATE = [TEXT, SOUND, {"type": "response.output_text.done", **PART, "text": "Whole."}]


def test_what_comes_after_the_end_of_an_empty_answer_is_waited_for():
    counted = done(usage=usage(output_text=3))
    reply, _ = ask(CREATED, counted, *LATE)
    assert (reply.status, reply.text, reply.audio.array.tobytes()) == ("completed", "Whole.", PCM)
    assert reply.warnings == []


def test_what_comes_after_the_end_of_an_answer_is_kept():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.say(CREATED, TEXT, done())
        talk.expect("input_audio_buffer.clear")
        talk.say(SOUND, {**TEXT, "delta": " And more."}, {"type": "input_audio_buffer.cleared"})

    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(20)
        assert (reply.text, reply.audio) == ("Whole.", None)
        chat.clear().wait(20)
        assert (reply.text, reply.audio.array.tobytes()) == ("Whole. And more.", PCM)
        assert chat.turns[-1].words == "Whole. And more."


@pytest.mark.parametrize("counted", [usage(), None, usage(output_text=3)])
def test_an_empty_answer_is_told(counted, monkeypatch):
    monkeypatch.setattr(following, "_LATE_SECONDS", 0.05)
    reply, _chat = ask(CREATED, done(usage=counted))
    assert (reply.status, reply.text) == ("completed", "")
    assert reply.warnings == ["The answer is empty: the server completed it without words, sound or a call. Ask again."]


# --- the user's words -------------------------------------------------------------------------------------------------

OF_INPUT = "conversation.item.input_audio_transcription"


def transcribing(*after, close=True):
    """A script that takes a recording, answers, and only then says these events of its words."""

    def script(talk):
        talk.open()
        talk.take_sound()
        talk.answer()
        for event in after:
            talk.say(event)

    return script


def test_a_transcript_that_was_asked_for_is_waited_for_before_one_question_ends(clip):
    late = {"type": f"{OF_INPUT}.completed", "item_id": "item_sound", "content_index": 0, "transcript": "What I said."}
    with serve(transcribing({**late, "usage": {"type": "duration", "seconds": "3"}})) as url:
        reply = rtnb.ask(clip, url=url, transcription="gpt-realtime-whisper", show=False).wait(20)
        until(lambda: reply.session.state == "closed")
        assert reply.transcript == "What I said."
        paid = [position.cost.usd for position in reply.session.bill if position.status == "transcription"]
        assert paid == [pytest.approx(3 / 60 * 0.017)]
        assert reply.warnings == ["The server sent text as its seconds, " + odd(reply.session)[0].partition(", ")[2]]


def test_a_transcript_that_does_not_come_is_told(clip, monkeypatch):
    monkeypatch.setattr(asking, "_TRANSCRIPT_SECONDS", 0.1)
    with serve(transcribing()) as url:
        reply = rtnb.ask(clip, url=url, transcription="gpt-realtime-whisper", show=False).wait(20)
        until(lambda: reply.session.state == "closed")
        assert reply.transcript is None
        assert reply.warnings == ["The transcript of your words did not come within 0.1 s after the answer."]


@pytest.mark.parametrize("late", [True, False])
def test_a_failed_transcription_is_told_with_the_servers_words(clip, late):
    error = {"type": "server_error", "code": "DeploymentNotFound", "param": None}
    error["message"] = "Input transcription failed for item 'item_sound'."
    failed = {"type": f"{OF_INPUT}.failed", "item_id": "item_sound", "content_index": 0, "error": error}

    def script(talk):
        talk.open()
        talk.take_sound()
        talk.say(*[failed] * (not late))
        talk.answer()
        talk.say(failed)

    with serve(script) as url, connect(url=url, transcription="whisper-1") as chat:
        reply = chat.ask(clip).wait(20)
        told = "Your words could not be transcribed: Input transcription failed for item '…'. [DeploymentNotFound]"
        until(lambda: chat.warnings and reply.warnings)
        assert chat.warnings == reply.warnings == [f"{told} Check transcription=."]
        assert (reply.status, reply.transcript) == ("completed", None)


@pytest.mark.parametrize("error", ["boom", ["boom"], {"message": ["boom"]}, {"code": "boom"}, None])
def test_a_failed_transcription_is_told_in_whatever_form_it_is_written(error):
    failed = {"type": f"{OF_INPUT}.failed", "item_id": "u", "error": error}
    reply, chat = ask(CREATED, failed, TEXT, DONE)
    told = [warning for warning in chat.warnings if warning.startswith("Your words could not be transcribed: ")]
    assert len(told) == 1
    assert "boom" in told[0] or error is None
    assert told[0] in reply.warnings


# --- audio in another form --------------------------------------------------------------------------------------------


def delta(data):
    return {**SOUND, "delta": data if isinstance(data, str) else base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    "deltas",
    [
        [wav(PCM)],
        [wav(PCM)[:1000], wav(PCM)[1000:]],
        [wav(PCM[:2000]), wav(PCM[2000:])],
        [wav(PCM)[:44], PCM],
        [PCM[:1], PCM[1:2], PCM[2:1001], PCM[1001:]],
        [b"", PCM],
        [base64.urlsafe_b64encode(PCM).decode()],
        [base64.b64encode(PCM[:1000]).decode().rstrip("="), PCM[1000:]],
        [base64.encodebytes(PCM).decode()],
        ["data:audio/pcm;base64," + base64.b64encode(PCM).decode()],
    ],
)
def test_sound_with_a_header_in_odd_pieces_or_in_base64_of_another_kind_is_the_same_sound(deltas):
    reply, chat = ask(CREATED, TEXT, *map(delta, deltas), DONE)
    assert reply.audio.array.tobytes() == PCM
    assert any("WAV" in warning for warning in reply.warnings) == (
        b"RIFF" in b"".join(d for d in deltas if type(d) is bytes)
    )
    assert [entry.event["delta"] for entry in chat.log if entry.type == SOUND["type"]] == [
        delta(d)["delta"] for d in deltas
    ]


@pytest.mark.parametrize("ending", ["mp3", "ogg", "flac"])
def test_compressed_sound_is_told_and_not_played_as_noise(ending, clip, tmp_path):
    data = clip.save(tmp_path / f"answer.{ending}").read_bytes()
    reply, chat = ask(CREATED, TEXT, *(delta(data[at : at + 4001]) for at in range(0, len(data), 4001)), DONE)
    assert (reply.status, reply.text, reply.audio) == ("completed", "Whole.", None)
    told = [warning for warning in reply.warnings if f"as {ending}" in warning]
    assert len(told) == 1
    assert b"".join(entry.sound for entry in chat.log if entry.type == SOUND["type"]) == data


def test_bare_samples_are_never_taken_for_something_else():
    for head in (b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80", b"\xff\xff\xff\xff", b"\0\0\0\0"):
        talk, updates = fold(CREATED, delta(head + PCM))
        assert talk.turn("item_1").pcm == head + PCM
        assert not any(isinstance(update, Odd) for update in updates)


# --- phase ------------------------------------------------------------------------------------------------------------


def test_the_phase_of_what_is_said_is_carried_to_turns_pieces_and_recordings(tmp_path):
    thinks = {**words("Let me see.", "output_text"), "phase": "commentary"}
    says = {**words("Sunny.", "output_text"), "id": "item_2", "phase": "final_answer"}
    events = [
        {"type": "response.output_item.added", "response_id": "resp_1", "item": {**thinks, "content": []}},
        {**TEXT, "delta": "Let me see."},
        {"type": "response.output_item.done", "response_id": "resp_1", "item": thinks},
        {"type": "response.output_item.done", "response_id": "resp_1", "item": says},
        done([thinks, says]),
    ]
    with serve(dialogue(CREATED, *events)) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        heard = [(piece.text, piece.phase) for piece in reply]
        saved = chat.save(tmp_path / "phases.rtnb")
        with connect(replay=saved) as again:
            replayed = again.ask("Hi")
            assert [(piece.text, piece.phase) for piece in replayed] == heard
    assert heard == [("Let me see.", "commentary"), ("Sunny.", "final_answer")]
    for talk in (chat, again):
        assert [(turn.role, turn.phase) for turn in talk.turns] == [
            ("user", None), ("assistant", "commentary"), ("assistant", "final_answer"),
        ]  # fmt: skip


# --- what goes out ----------------------------------------------------------------------------------------------------

HALF = "bad \ud83d half"


@pytest.mark.parametrize(
    ("call", "place"),
    [
        (lambda chat: chat.ask(HALF), "text"),
        (lambda chat: chat.ask("Hi", instructions=HALF), "response['instructions']"),
        (lambda chat: chat.respond(instructions=HALF), "response['instructions']"),
        (lambda chat: chat.side(HALF), "response['instructions']"),
        (lambda chat: chat.update(instructions=HALF), "session['instructions']"),
        (lambda chat: chat.send({"type": "response.create", "response": {"instructions": HALF}}), "['instructions']"),
        (lambda chat: chat.create({"type": "function_call_output", "call_id": "c", "output": HALF}), "item['output']"),
        (lambda chat: chat.seed([("user", HALF)]), "['text']"),
        (lambda chat: chat.delete(HALF), "item_id"),
        (lambda chat: chat.cancel(HALF), "response_id"),
    ],
)
def test_half_a_surrogate_pair_is_refused_at_the_call_with_its_place(call, place):
    with serve(dialogue()) as url, connect(url=url) as chat:
        with pytest.raises(InputError) as refused:
            call(chat)
        assert f"{place} is" in str(refused.value)
        assert "JSON cannot carry" in str(refused.value)
        sent = [entry.type for entry in chat.log if entry.direction == "sent"]
        assert sent == ["session.update"]
        chat.close().wait(10)


def test_instructions_with_half_a_surrogate_pair_are_refused_before_anything_is_opened():
    with pytest.raises(InputError, match=r"session\['instructions'\]"):
        connect(url="ws://127.0.0.1:1", instructions=HALF)


@pytest.mark.parametrize(("result", "output"), [(HALF, "bad ? half"), ({"x": float("nan")}, '{"x":NaN}')])
def test_what_a_function_returns_and_json_has_not_reaches_the_model_as_it_can(result, output):
    def odd_one() -> object:
        """Return something odd."""
        return result

    call = {"id": "f", "type": "function_call", "name": "odd_one", "call_id": "call_1", "arguments": "{}"}
    sent = []

    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.say(CREATED, done([call]))
        item = talk.expect("conversation.item.create")["item"]
        sent.append(item["output"])
        talk.say({"type": "conversation.item.added", "item": {**item, "id": "o"}})
        talk.answer("Done.", id="resp_2", item_id="item_2")

    with serve(script) as url, connect(url=url, tools=[odd_one]) as chat:
        assert chat.ask("Hi").wait(20).text == "Done."
    assert sent == [output]


# --- transcriptions and translations ----------------------------------------------------------------------------------


def test_a_transcription_reads_odd_events_and_tells_of_them(clip):
    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "s", "type": "transcription"}})
        talk.expect("session.update")
        talk.say({"type": "session.updated", "session": []})
        talk.take_sound("item_1")
        of_item = {"item_id": "item_1", "content_index": "0"}
        say_raw = talk.socket.send
        say_raw("{broken")
        talk.say({"type": f"{OF_INPUT}.delta", **of_item, "delta": {"text": "What "}})
        talk.say({"type": f"{OF_INPUT}.completed", **of_item, "transcript": ["What ", "I said."], "usage": "none"})

    with serve(script) as url:
        said = rtnb.transcribe(clip, url=url).wait(20)
        assert (said.text, said.cost.usd) == ("What I said.", 0)
        assert len(said.warnings) == len(set(said.warnings)) == 6
        assert any("cannot be read" in warning for warning in said.warnings)


def test_a_translation_reads_odd_events_and_tells_of_them(clip):
    def script(talk):
        talk.say({"type": "session.created", "session": None})
        talk.expect("session.update")
        talk.say({"type": "session.updated", "session": {"id": "s"}})
        while talk.hear()["type"] != "session.close":
            pass
        talk.say({"type": "session.output_transcript.delta", "delta": {"text": "Hola"}, "elapsed_ms": "200"})
        talk.say({"type": "session.output_audio.delta", "delta": base64.b64encode(wav(PCM)).decode()})
        talk.socket.send('{"type": "session.output_transcript.delta", "delta": " a todos", "x": NaN}')
        talk.say({"type": "session.closed"})

    with serve(script) as url:
        spoken = rtnb.translate(clip, to="es", url=url).wait(20)
        assert (spoken.text, spoken.audio.array.tobytes()) == ("Hola a todos", PCM)
        assert sorted(warning.split()[3] for warning in spoken.warnings) == ["an", "its", "what"]


# --- a last output in an odd form, and errors that nobody waits for ---------------------------------------------------


@pytest.mark.parametrize(
    "output",
    [{"0": words("Whole.", "output_text")}, {"a": {"type": "reasoning"}, "b": words("Whole.", "output_text")}],
)
def test_words_of_a_last_output_in_an_odd_form_are_kept(output):
    final = done([], usage=usage(output_text=3))
    final["response"]["output"] = output
    reply, chat = ask(CREATED, final)
    assert reply.status == "completed"
    assert reply.text.replace("\n", "") == "Whole."
    assert odd(chat)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"message": "the model is overloaded", "event_id": "evt_other"}, "the model is overloaded"),
        ({"error": {"message": "deep"}}, "deep"),
        ({"message": {"text": "in an object"}}, "in an object"),
    ],
)
@pytest.mark.parametrize("begun", [True, False])
def test_what_the_server_said_last_is_quoted_where_nothing_more_comes(begun, error, said):
    frames = [CREATED] * begun + [{"type": "error", "error": error}]
    kind = ResponseFailed if begun else ServerError
    with (
        serve(dialogue(*frames)) as url,
        connect(url=url, timeout=0.5) as chat,
        pytest.raises(kind) as silent,
    ):
        chat.ask("Hi").wait(20)
    assert "sent nothing for 0.5 s after it had said “" in str(silent.value)
    assert said in str(silent.value)


def test_a_sentence_follows_what_a_server_says_without_a_full_stop():
    failed = done([], usage=None)
    failed["response"] |= {"status": "failed", "status_details": {"error": {"message": "out of memory"}}}
    with pytest.raises(ResponseFailed, match=r"could not answer: out of memory\. What came"):
        ask(CREATED, failed)
