"""Upload box: recordings from the user's computer to the kernel."""
