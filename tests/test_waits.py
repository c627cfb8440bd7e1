"""A server that goes mute and only answers pings: whatever is waited for has an end, and keeps what came."""

import contextlib
import json
import time

import numpy as np
import pytest
from dialogue import serve, until
from websockets.exceptions import ConnectionClosed

from rtnb.audio import Clip, join
from rtnb.errors import ConnectionFailed, InputError, ResponseFailed, RtnbError, ServerError
from rtnb.jobs.transcribe import transcribe
from rtnb.jobs.translate import translate
from rtnb.opening import connect
from rtnb.session import lifecycle, router

TONE = Clip.from_array((np.sin(np.arange(24_000) / 9) * 0.3).astype(np.float32), rate_hz=24_000)
SPOKEN = b"\1\0" * 2400
LIMIT_SECONDS = 0.5  # a busy machine needs some of it to open a socket
CALL = {"id": "item_call", "type": "function_call", "status": "completed", "name": "weather", "call_id": "call_1"}


def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


class _Mute(BaseException):
    pass


def muted(script, count, said=None):
    """The script up to its first so many events; then the server says nothing, but reads and answers pings."""

    def follow(talk):
        say, events = talk.say, [] if said is None else said

        def say_some(*wanted):
            for event in wanted:
                if len(events) == count:
                    raise _Mute
                events.append(event)
                say(event)

        talk.say = say_some
        with contextlib.suppress(_Mute):
            script(talk)

    return follow


# --- what is recorded of one exchange of each kind -------------------------------------------------------------------


def asked(talk):
    talk.open()
    talk.take_sound()
    talk.take_message()
    talk.answer("Half an answer.", SPOKEN)


def beside(talk):
    talk.open()
    talk.answer("In French.", conversation_id=None)


def with_tools(talk):
    talk.open()
    talk.take_message()
    talk.expect("response.create")
    created = {"id": "resp_0", "status": "in_progress", "conversation_id": "conv_1", "output": []}
    call = {**CALL, "arguments": '{"city": "Oslo"}'}
    part = {"response_id": "resp_0", "output_index": 0}
    talk.say(
        {"type": "response.created", "response": created},
        {"type": "response.output_item.added", **part, "item": {**call, "arguments": "", "status": "in_progress"}},
        {
            "type": "response.function_call_arguments.done",
            **part,
            "item_id": "item_call",
            "arguments": '{"city": "Oslo"}',
        },
        {"type": "response.output_item.done", **part, "item": call},
        {"type": "response.done", "response": {**created, "status": "completed", "output": [call]}},
    )
    talk.take_message("item_output")
    talk.answer("Sunny.")


def transcribed(talk):
    transcribed_session(talk)
    talk.take_sound("item_1")
    kind, where = "conversation.item.input_audio_transcription", {"item_id": "item_1", "content_index": 0}
    talk.say(
        {"type": f"{kind}.delta", **where, "delta": "One "},
        {"type": f"{kind}.completed", **where, "transcript": "One."},
    )


def translated(talk):
    talk.say({"type": "session.created", "session": {"id": "s", "type": "translation", "audio": {}}})
    talk.say({"type": "session.updated", "session": talk.expect("session.update")["session"]})
    talk.expect("session.close", over=("session.input_audio_buffer.append",))
    talk.say({"type": "session.output_transcript.delta", "delta": "Buenos días."}, {"type": "session.closed"})


def ask(**options):
    chat = connect(**options)
    return chat, chat.ask(TONE, "What is this?")


def side(**options):
    chat = connect(**options)
    return chat, chat.side("Which language?")


def use_tools(**options):
    chat = connect(**options, tools=[weather])
    return chat, chat.ask("Weather in Oslo?")


def write_down(**options):
    words = transcribe(TONE, **options)
    return words.session, words


def translate_it(**options):
    spoken = translate(TONE, to="es", **options)
    return spoken.session, spoken


EXCHANGES = {
    "ask": (asked, ask, 19),
    "side": (beside, side, 11),
    "tools": (with_tools, use_tools, 19),
    "transcribe": (transcribed, write_down, 7),
    "translate": (translated, translate_it, 4),
}
SERVERS = [("", kind) for kind in EXCHANGES] + [("openai", "ask"), ("openai", "transcribe")]


def words_in(events):
    """Return the words of the model that came in these events."""
    kinds = ("response.output_text.delta", "response.output_audio_transcript.delta", "session.output_transcript.delta")
    return "".join(event["delta"] for event in events if event["type"] in kinds)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A server that says nothing at first, or goes on after a cancel, is given up sooner than usual."""
    monkeypatch.setattr(lifecycle, "_GREETING_SECONDS", 0.1)
    monkeypatch.setattr(router, "_CANCEL_SECONDS", 0.3)
    monkeypatch.setattr(router, "_DONE_SECONDS", 0.3)


@pytest.mark.parametrize(
    ("provider", "kind", "count"),
    [(server, kind, count) for server, kind in SERVERS for count in range(EXCHANGES[kind][2])],
)
def test_a_server_that_goes_mute_after_any_event_is_given_up(provider, kind, count):
    script, start, events = EXCHANGES[kind]
    said = []
    opened = count > (1 if provider else 0)  # an unknown server need not confirm its configuration
    with serve(muted(script, count, said)) as url:
        session, work = start(url=url, timeout=LIMIT_SECONDS, provider=provider or None, key="sk-not-a-key")
        begun = time.monotonic()
        with contextlib.suppress(RtnbError):
            work.wait(20)
        assert work.done
        assert time.monotonic() - begun < 15
        if work.error is None:  # every item of the answer was complete
            assert count >= events - 2
            assert len(work.warnings) == 1
        else:
            assert "The server sent nothing for 0.5 s" in str(work.error)
            assert work.error.reply is work
            assert isinstance(work.error, ServerError | ResponseFailed if opened else ConnectionFailed)
            assert words_in(said) == work.error.reply.text
        if "trans" not in kind:  # those end with what they were for
            assert session.state == ("open" if opened else "closed")
        session.close().wait(10)


@pytest.mark.parametrize("kind", EXCHANGES)
def test_and_one_that_says_it_all_is_not(kind):
    script, start, events = EXCHANGES[kind]
    said = []
    with serve(muted(script, 99, said)) as url:
        session, work = start(url=url, timeout=20)
        work.wait(20)
        assert len(said) == events
        assert not getattr(work, "warnings", None)
        session.close().wait(10)


# --- the end, taken from what did come --------------------------------------------------------------------------------


CREATED = {"id": "resp_1", "status": "in_progress", "conversation_id": "conv_1", "output": []}
ITEM = {"id": "item_a", "type": "message", "role": "assistant", "status": "completed"}
WORDS = {**ITEM, "content": [{"type": "output_text", "text": "Fine."}]}


def told(*events):
    """A script that answers one question with these events."""

    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.say(*events)

    return script


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "response.done", "response": {**CREATED, "status": "completed", "output": [WORDS]}}],
        [
            {"type": "response.created", "response": CREATED},
            {"type": "response.output_item.done", "response_id": "resp_1", "item": WORDS},
            {"type": "rate_limits.updated", "rate_limits": []},
        ],
        [
            {"type": "response.output_item.done", "response_id": "resp_1", "item": WORDS},
            {"type": "rate_limits.updated", "rate_limits": []},
        ],
    ],
    ids=["no created", "no done", "neither"],
)
def test_an_end_that_can_be_read_from_what_came_is_not_waited_for(events):
    with serve(told(*events)) as url, connect(url=url, timeout=20) as chat:
        reply = chat.ask("Hi").wait(10)
        assert (reply.status, reply.text) == ("completed", "Fine.")


def test_functions_of_an_answer_without_an_end_are_called_and_once():
    ran = []

    def book(seat: int) -> str:
        """Book a seat."""
        ran.append(seat)
        return "booked"

    call = {**CALL, "name": "book", "arguments": '{"seat": 3}'}

    def script(talk):
        told(
            {"type": "response.created", "response": CREATED},
            {"type": "response.output_item.done", "response_id": "resp_1", "item": call},
            {"type": "rate_limits.updated", "rate_limits": []},
        )(talk)
        talk.take_message("item_output")
        talk.answer("Done.", id="resp_2")
        talk.say({"type": "response.done", "response": {**CREATED, "status": "completed", "output": [call]}})

    with serve(script) as url, connect(url=url, tools=[book]) as chat:
        assert chat.ask("Seat 3").wait(10).text == "Done."
        until(lambda: [entry.type for entry in chat.log].count("response.done") == 2)
        assert ran == [3]


@pytest.mark.parametrize("conversation", [None, "conv_1"])
def test_a_side_response_whose_metadata_is_not_echoed_is_still_ours(conversation):
    def script(talk):
        talk.open()
        talk.answer("French.", conversation_id=conversation, metadata=None)

    def silent_on_metadata(talk):
        say = talk.say
        talk.say = lambda *events: say(*(without_metadata(event, conversation) for event in events))
        script(talk)

    with serve(silent_on_metadata) as url, connect(url=url) as chat:
        assert chat.side("Which language?").wait(10).text == "French."


def without_metadata(event, conversation):
    if "response" not in event:
        return event
    return {**event, "response": {**event["response"], "metadata": None, "conversation_id": conversation}}


def test_commits_without_item_ids_and_words_without_commits_find_their_stretches():
    kind = "conversation.item.input_audio_transcription.completed"

    def without_ids(talk):
        transcribed_session(talk)
        for words in ("One.", "Two."):
            talk.expect("input_audio_buffer.commit", over=("input_audio_buffer.append",))
            talk.say({"type": "input_audio_buffer.committed"}, {"type": kind, "transcript": words})

    def only_words(talk):
        transcribed_session(talk)
        for number, words in enumerate(("One.", "Two.")):
            talk.expect("input_audio_buffer.commit", over=("input_audio_buffer.append",))
            talk.say({"type": kind, "item_id": f"item_{number}", "transcript": words})

    for script in (without_ids, only_words):
        with serve(script) as url:
            words = transcribe(join([TONE, TONE], gap_seconds=1.0), url=url, timeout=5).wait(20)
        assert [segment.text for segment in words.segments] == ["One.", "Two."]


def transcribed_session(talk):
    session = {"id": "s", "type": "transcription", "audio": {"input": {}}}
    talk.say({"type": "session.created", "session": session})
    talk.say({"type": "session.updated", "session": {**session, **talk.expect("session.update")["session"]}})


def test_a_refused_commit_takes_no_words_from_the_next_stretch():
    def script(talk):
        transcribed_session(talk)
        commits = [talk.expect("input_audio_buffer.commit", over=("input_audio_buffer.append",)) for _ in range(2)]
        refusal = {"type": "invalid_request_error", "code": "x", "message": "No.", "event_id": commits[0]["event_id"]}
        kind = "conversation.item.input_audio_transcription.completed"
        events = [
            {"type": "error", "error": refusal},
            {"type": "input_audio_buffer.committed", "item_id": "item_2"},
            {"type": kind, "item_id": "item_2", "transcript": "Two."},
        ]
        # In one write, so that the client reads them in one go.
        frames = [json.dumps(event).encode() for event in events]
        talk.socket.socket.sendall(b"".join(b"\x81\x7e" + len(frame).to_bytes(2, "big") + frame for frame in frames))

    with serve(script) as url:
        words = transcribe(join([TONE, TONE], gap_seconds=1.0), url=url, timeout=5).wait(20)
    assert [segment.text for segment in words.segments] == ["", "Two."]
    assert "No." in words.segments[0].error


def test_a_server_that_detects_speech_and_then_says_nothing_is_given_up():
    def script(talk):
        talk.open()
        talk.hear()
        talk.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_1"})
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            while True:
                talk.hear()

    silence, options = r"detected speech, sent nothing for 0\.5 s and did not answer", {"timeout": LIMIT_SECONDS}
    with serve(script) as url, connect(url=url, turn_detection="server_vad", **options) as chat:
        reply = chat.ask(TONE)
        with pytest.raises(ServerError, match=silence):
            reply.wait(20)


def test_an_answer_of_nobody_that_never_ends_keeps_no_other_waiting():
    def script(talk):
        talk.open()
        talk.say({"type": "response.created", "response": {**CREATED, "id": "resp_0"}})
        talk.take_message()
        event_id = talk.expect("response.create")["event_id"]
        busy = {"code": "conversation_already_has_active_response", "message": "Busy.", "event_id": event_id}
        talk.say({"type": "error", "error": busy})
        talk.expect("response.create", over=("response.cancel",))
        talk.answer("Now.", expect=False)

    with serve(script) as url, connect(url=url, timeout=LIMIT_SECONDS) as chat:
        assert chat.ask("Hi").wait(20).text == "Now."


def test_a_break_into_a_mute_server_is_told_in_a_whole_sentence():
    def first(talk):
        talk.open()
        talk.drop()

    def second(talk):
        talk.hear()

    with serve(first, second) as url:
        chat = connect(url=url, timeout=LIMIT_SECONDS, reconnect=True).wait(20)
        until(lambda: len(chat.warnings) == 2)
        chat.close().wait(20)
    assert chat.warnings[1].startswith("The server sent nothing for 0.5 s, so no session came about. rtnb goes on")


# --- limits -----------------------------------------------------------------------------------------------------------


def test_events_that_say_nothing_of_the_answer_do_not_lengthen_the_wait():
    def script(talk):
        told({"type": "response.created", "response": CREATED})(talk)
        with contextlib.suppress(ConnectionClosed):
            while True:
                talk.say({"type": "ping"}, {"type": "rate_limits.updated", "rate_limits": []})
                time.sleep(0.02)

    with serve(script) as url, connect(url=url, timeout=0.3) as chat, pytest.raises(ResponseFailed) as late:
        chat.ask("Hi").wait(10)
    assert "sent nothing of the answer for 0.3 s" in str(late.value)


def test_a_slow_answer_is_waited_for_however_long_it_takes():
    piece = {"response_id": "resp_1", "item_id": "item_a", "output_index": 0, "content_index": 0}

    def script(talk):
        told({"type": "response.created", "response": CREATED})(talk)
        for number in range(12):
            time.sleep(0.1)
            talk.say({"type": "response.output_text.delta", **piece, "delta": str(number)})
        talk.say({"type": "response.done", "response": {**CREATED, "status": "completed"}})

    with serve(script) as url, connect(url=url, timeout=1.0) as chat:
        assert chat.ask("Hi").wait(20).text == "01234567891011"


def test_after_a_limit_the_session_goes_on_and_what_comes_too_late_harms_nothing():
    late = {"type": "response.done", "response": {**CREATED, "status": "completed", "output": [WORDS]}}

    def script(talk):
        told({"type": "response.created", "response": CREATED})(talk)
        talk.expect("response.cancel")
        talk.say(late)
        talk.take_message("item_3")
        talk.answer("Here again.", id="resp_2", item_id="item_4")

    with serve(script) as url, connect(url=url, timeout=1.0) as chat:
        with pytest.raises(ResponseFailed, match="1 s"):
            chat.ask("Hi").wait(10)
        assert chat.ask("Still there?").wait(10).text == "Here again."


def test_a_cancelled_answer_of_a_mute_server_ends_soon():
    with serve(told({"type": "response.created", "response": CREATED})) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        until(lambda: reply.responses)
        reply.cancel()
        assert reply.wait(10).status == "cancelled"


@pytest.mark.parametrize(
    "call", ["commit", "clear", "cancel", "update", "truncate", "delete", "retrieve", "create", "seed"]
)
def test_every_single_request_ends_and_the_session_can_go_on(call):
    given = {
        "truncate": ("item_a", 0),
        "delete": ("item_a",),
        "retrieve": ("item_a",),
        "create": ({"type": "message", "role": "user", "content": []},),
        "seed": ([("user", "Hi")],),
    }
    with (
        serve(lambda talk: talk.open()) as url,
        connect(url=url, timeout=LIMIT_SECONDS, provider="openai", key="k") as chat,
    ):
        with pytest.raises(ServerError, match=r"sent nothing for 0\.5 s, not even that it refused .*timeout=") as late:
            getattr(chat, call)(*given.get(call, ())).wait(10)
        assert late.value.code == "no_answer"
        assert chat.state == "open"


@pytest.mark.parametrize("timeout", [0, -1, "60", float("nan")])
def test_a_limit_that_is_none_is_refused_before_anything_is_opened(timeout):
    for start in (ask, write_down, translate_it):
        with pytest.raises(InputError, match=r"^Your timeout") as refused:
            start(url="ws://127.0.0.1:9", timeout=timeout)
        assert isinstance(timeout, str) or refused.value.timeout is timeout
