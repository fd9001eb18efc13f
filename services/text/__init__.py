"""Text output for the terminal: the outbox, traces and recalls."""
