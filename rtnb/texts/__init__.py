"""Sentences that a user reads, the style sheet of `html.py`, and saving: what every folder above may use."""
