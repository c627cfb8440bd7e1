"""A connection that breaks, and a talk that goes on with its history as text."""

import time

import rtnb

with (
    rtnb.practice(session_seconds=2.0) as server,
    rtnb.connect(url=server.url, key="any", reconnect=True, modalities="text") as chat,
):
    chat.ask("My name is Ada.").wait()
    first = chat.id
    while chat.id == first or chat.state != "open":
        time.sleep(0.05)
    chat.ask("What did I say?").wait()
    print("another session:", chat.id != first)
    print([turn.role for turn in chat.turns])
