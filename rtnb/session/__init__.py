"""A session: parts, settings, turns, tools and replies."""
