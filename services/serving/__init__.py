"""What every server stands on: logs, sockets, TLS, bounded work, the HTTP server itself."""
