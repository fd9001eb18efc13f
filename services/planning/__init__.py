"""Planning between companies: calls, offers and plans."""
