"""Hand-overs between companies: names, documents and bundles, sealed to whom a record of the ledger names.

HANDOVER.md specifies the format, who gets what, and the guarantees. Nothing in this package depends on the gateway.
"""

from __future__ import annotations

__all__: list[str] = []
