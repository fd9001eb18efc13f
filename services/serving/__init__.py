"""Shared by all servers: logging, sockets, TLS, worker threads, limits on concurrent work, and the HTTP server."""
