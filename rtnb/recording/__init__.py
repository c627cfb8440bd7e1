"""Session saved to a file, and played back by a small server as if it happened again.

The file is a zip: `session.json` (source, model, settings), `events.jsonl` (every event both ways with its time) and
the audio once, compressed, outside the events, on the tracks `heard`, `spoken` and `more` (what else the events
carried). FLAC is the default because a replay is then the same to the last sample, so that everything measured on it
(positions, truncations, lengths) stays true; Opus is about a tenth of the size and sounds the same.
"""
