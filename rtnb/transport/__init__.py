"""Transport: the I/O thread, the endpoint and the socket."""
