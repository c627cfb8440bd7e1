"""Sessions: parts, settings, turns, tools and replies."""
