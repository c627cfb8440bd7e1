"""Events that come as lines of one frame, and audio appended to a session that is over."""

import json

import pytest
from dialogue import serve, until
from test_border import CREATED, PART, done, words

from rtnb.errors import ConnectionFailed, ServerError
from rtnb.opening import connect
from rtnb.protocol import frames

EVENTS = [
    CREATED,
    {"type": "response.output_text.delta", **PART, "delta": "Whole.\n{"},
    done([words("Whole.\n{", "output_text")]),
]


@pytest.mark.parametrize("joint", ["\n", "\r\n", "\n\n", " \n "])
@pytest.mark.parametrize("end", ["", "\n"])
def test_events_joined_by_newlines_in_one_frame_are_all_read(joint, end):
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.socket.send(joint.join(map(json.dumps, EVENTS)) + end)

    with serve(script) as url, connect(url=url, timeout=5) as chat:
        assert chat.ask("Hi").wait(20).text == "Whole.\n{"


def test_a_frame_of_one_event_in_many_lines_is_one_event():
    for event in EVENTS:
        frame = json.dumps(event, indent=2).encode()
        assert frames.split(frame) == [frame]


def test_audio_appended_to_a_session_that_is_closed_or_refused_is_refused():
    chat = connect(practice=True).wait()
    chat.close().wait()
    with pytest.raises(ConnectionFailed, match=r"Your session is closed\. Open a new one"):
        chat.append(bytes(4800))

    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "s"}})
        sent = talk.expect("session.update")
        error = {"type": "invalid_request_error", "message": "No.", "event_id": sent["event_id"]}
        talk.say({"type": "error", "error": error})

    with serve(script) as url:
        refused = connect(url=url)
        until(lambda: refused.state == "closed")
        with pytest.raises(ServerError):
            refused.append(bytes(4800))
