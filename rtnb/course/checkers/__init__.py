"""Checkers of the course's exercises, one file per notebook."""
