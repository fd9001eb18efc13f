"""A page that verifies bundles in a browser, offline after loading, with the verifier of ledger.verify. See CHECK.md."""
