"""The player of an answer that is still coming."""
