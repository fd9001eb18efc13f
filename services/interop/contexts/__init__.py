"""JSON-LD contexts that the gateway serves: for our own terms, and for the standards that its documents use."""
