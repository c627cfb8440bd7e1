"""Widgets and cards: a folder for each with its Python, JavaScript and CSS; no bundler, nothing from the network."""
