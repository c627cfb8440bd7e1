"""Responder of the practice server: its answers, by rule."""
