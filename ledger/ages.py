"""How old a proof block may be, and how far behind the block that a verifier believes.

Apart from the checks (millmark.ledger.checkpoint), so that a command can name the bounds in its help without loading
them.
"""

from __future__ import annotations

DAY_S = 86_400
MAX_ANCESTRY = 256
"""The proof block may be at most this many blocks before the checkpoint."""
DEFAULT_MAX_AGE_S = 30 * DAY_S
