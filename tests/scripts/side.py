"""Side responses: asked beside the talk, in parallel, and not remembered by it."""

import rtnb

with rtnb.connect(practice=True, modalities="text") as chat:
    answer = chat.ask("Tell me about the sea.")
    beside = [chat.side("Name the topic of the conversation in one word."), chat.side("Which language is spoken?")]
    print(answer.wait().status, [side.wait().status for side in beside])
    print([side.text != "" for side in beside])
    print("turns:", len(chat.turns))
