"""The responder: what the practice server answers."""
