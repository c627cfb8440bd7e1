"""The I/O thread, the endpoint and the socket."""
