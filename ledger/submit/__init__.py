"""Submits records from the outbox, through a node of this company or a relay."""

from ledger.submit.relay import Outcome, Relay, RelaySubmitter, Terms, read_sequences
from ledger.submit.submitter import Submitter, build_entry

__all__ = ["Outcome", "Relay", "RelaySubmitter", "Submitter", "Terms", "build_entry", "read_sequences"]
