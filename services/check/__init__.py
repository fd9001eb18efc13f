"""A page that verifies bundles in a browser, offline after loading, with millmark.ledger.verify. See CHECK.md."""
