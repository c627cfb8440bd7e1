"""A server that listens for the end of a turn, with a recording; two sessions at once."""

import rtnb

clip = rtnb.samples()["weather"]
with (
    rtnb.connect(practice=True, turn_detection="server_vad", transcription=True) as one,
    rtnb.connect(practice=True, turn_detection={"type": "semantic_vad", "eagerness": "high"}) as two,
):
    replies = [chat.ask(clip) for chat in (one, two)]
    for reply in replies:
        print(reply.wait().status, reply.text != "")
    print("committed by us:", any(entry.type == "input_audio_buffer.commit" for entry in one.log))
    print("the server heard:", one.turns[0].role, one.turns[0].audio.seconds > 1)
