"""Checks before class: Python and its packages, the front end, the key, the network, the model and its price."""
