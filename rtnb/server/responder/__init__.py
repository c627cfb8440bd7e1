"""Responder of the practice server: its answers, by rule or from a chat endpoint."""
