"""Submission of records through the outbox."""

from ledger.submit.submitter import Submitter

__all__ = ["Submitter"]
