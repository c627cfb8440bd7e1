"""Live call: talk with the model from a cell."""
