"""Millmark, as it is installed. Its public face: `millmark.verify`, the offline check of a bundle, and
`millmark.client`, the typed client of a gateway; below them, `millmark.ledger`, `millmark.services` and
`millmark.quality`.

This folder is installed as `millmark` (package-dir in pyproject.toml), and is imported under no other name.
"""
