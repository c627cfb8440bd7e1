"""Realtime protocol: events, the log and the conversation, without clock or socket."""
