"""Tests that open real pages in a real Chromium; `lab.py` is the fixture they share."""
