"""Transcriptions, translations and maps."""
