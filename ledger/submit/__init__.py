"""Submits records from the outbox, through a node of this company or a relay."""

from millmark.ledger.submit.relay import Outcome, Relay, RelaySubmitter, Terms, read_sequences
from millmark.ledger.submit.standing import adopt_records, forward_key, reopen_records, verify_outbox
from millmark.ledger.submit.submitter import Funds, Submitter, build_entry, look_at_funds

__all__ = [
    "Funds",
    "Outcome",
    "Relay",
    "RelaySubmitter",
    "Submitter",
    "Terms",
    "adopt_records",
    "build_entry",
    "forward_key",
    "look_at_funds",
    "read_sequences",
    "reopen_records",
    "verify_outbox",
]
