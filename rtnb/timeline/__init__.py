"""Timeline: what happened when, as a picture."""
