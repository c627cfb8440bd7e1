"""A recording written down, with times, as subtitles."""

import rtnb

words = rtnb.transcribe(rtnb.samples()["order"], practice=True, language="en").wait()
print(words.text)
print(words.save("order.srt").read_text("utf-8").splitlines()[1][:13])
print(words.cost)
