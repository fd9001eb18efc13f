"""Millmark's own routes: provenance, bundles, documents, sessions."""
