"""Text for people: what the outbox holds, what a trace says."""
