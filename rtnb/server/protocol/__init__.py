"""Server side of the protocol: a state machine without clock or socket."""
