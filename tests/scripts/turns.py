"""Words, a recording and a picture in one turn; text or sound out; a voice, a speed, instructions for one answer."""

import base64

import rtnb

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

with rtnb.connect(practice=True, voice="cedar", speed=1.1, instructions="Answer briefly.") as chat:
    spoken = chat.ask(rtnb.samples()["question"], "Answer in one sentence.").wait()
    print(spoken.text, spoken.audio.seconds > 0.5, spoken.seconds_to_first_sound is not None)

    picture = rtnb.Image.read(base64.b64decode(PIXEL), name="pixel.png")
    written = chat.ask(picture, "What is in the picture?", modalities="text", instructions="One word.").wait()
    print(written.text != "", written.audio)

    item = chat.turns[0].item_id
    print(chat.retrieve(item).wait()["item"]["id"] == item)
    chat.delete(item).wait()
    print(item in [turn.item_id for turn in chat.turns])
