"""A recording in another language."""

import rtnb

spoken = rtnb.translate(rtnb.samples()["question"], to="es", practice=True).wait()
print(spoken.text != "", spoken.audio.seconds > 0.5)
print(spoken.cost)
