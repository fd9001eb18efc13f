"""JSON-LD contexts that the gateway gives out: of our own terms, and of those of the standards that answers name."""
