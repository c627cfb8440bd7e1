"""Player of an answer that is still coming."""
