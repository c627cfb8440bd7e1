"""Any server that speaks the protocol: here rtnb's own, named as one that others run."""

import rtnb

with rtnb.practice() as server:
    with rtnb.connect(url=server.base_url, provider="localai", key="any", modalities="text") as chat:
        print(chat.source, chat.ask("Hello").wait().status)
    reply = rtnb.ask("Hello", url=server.url, key="any", show=False, modalities="text").wait()
    print(reply.source, reply.text != "")
