"""Sessions saved to files and replayed."""
