"""Language model as the responder: a chat-completions server, its messages, its sentences as they come."""
