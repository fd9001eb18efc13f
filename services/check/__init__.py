"""A page that verifies bundles in a browser, offline after loading, with ledger.verify. See CHECK.md."""
