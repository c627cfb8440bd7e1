"""Record box: the user's voice from the page's microphone to a `Clip`."""
