"""The server kit: connections, TLS, HTTP and the check of origins."""
