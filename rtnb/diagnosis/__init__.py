"""Checks before class."""
