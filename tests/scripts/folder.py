"""A folder of recordings, a few at a time; run again, it pays for nothing twice."""

from pathlib import Path

import rtnb

for name in ("question", "weather"):
    clip = rtnb.samples()[name]
    Path("recordings").mkdir(exist_ok=True)
    clip.save(f"recordings/{name}.wav")

results = rtnb.map("recordings", "Repeat what was said.", concurrency=2, practice=True, show=False).wait()
print([(row.name, row.status) for row in results])
again = rtnb.map("recordings", "Repeat what was said.", practice=True, show=False).wait()
print("asked again:", len(again) - again.skipped)
print(list(again.table().columns)[:3])
