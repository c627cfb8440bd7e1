"""A talk as a picture, saved as one page with its sound."""

import rtnb

with rtnb.connect(practice=True) as chat:
    reply = chat.ask(rtnb.samples()["question"]).wait()
    print(len(reply.timeline().seconds_to_first_sound))
    page = chat.timeline().save("talk.html")
    print(page.read_text("utf-8").count("<audio"))
