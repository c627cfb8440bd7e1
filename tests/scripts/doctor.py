"""What works here and what does not, before class; with no network and no key as well."""

import rtnb

report = rtnb.doctor(url="ws://127.0.0.1:9/v1/realtime", timeout=1.0)
print(repr(report))
