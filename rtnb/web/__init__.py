"""Server kit: connections, send queues, TLS, HTTP, the check of origins, and the reading of addresses."""
