"""A home: the one folder that an operator's or a company's commands and gateway need, and the files that pass between
them when a company joins.

    consortium.json   from the operator to the companies: chain, contracts, who the operator is
    request.json      from a company to the operator: who it is, and the keys that it made

`millmark init` and `millmark join` make homes. gateway/OPERATIONS.md says what is in one.
"""

from __future__ import annotations

from millmark.services.home.admissions import (
    Candidate,
    candidate_of,
    find_admitted,
    find_unaccepted,
    verify_for_this_ledger,
)
from millmark.services.home.joining_files import AdmissionRequest, Consortium, parse_consortium, parse_request
from millmark.services.home.layout import Layout, Missing, company_settings, operator_settings, set_setting, set_tls
from millmark.services.home.missing import find_missing, find_missing_files, find_paying_keys

__all__ = [
    "AdmissionRequest",
    "Candidate",
    "Consortium",
    "Layout",
    "Missing",
    "candidate_of",
    "company_settings",
    "find_admitted",
    "find_missing",
    "find_missing_files",
    "find_paying_keys",
    "find_unaccepted",
    "operator_settings",
    "parse_consortium",
    "parse_request",
    "set_setting",
    "set_tls",
    "verify_for_this_ledger",
]
