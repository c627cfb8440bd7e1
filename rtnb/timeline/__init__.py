"""What happened when, as a picture."""
