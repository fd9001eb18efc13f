"""`python -m millmark.quality audit`: re-execute a certified verdict. Needs only Python."""

from __future__ import annotations

import argparse
from pathlib import Path

from millmark.quality.audit import MAX_EXTRACT_BYTES, NOT_ESTABLISHED, audit, parse_extract
from millmark.quality.commands.options import Answer, Parser, add_examples
from millmark.quality.errors import InputError

_EXAMPLES = """  python -m millmark.quality audit extract.json"""


def add_options(parser: Parser) -> None:
    """Add the command's options and its function to a parser."""
    add_examples(parser, _EXAMPLES)
    parser.add_argument("extract", type=Path, metavar="EXTRACT", help="file written by `millmark quality extract`")
    parser.set_defaults(command=_audit)


def _audit(options: argparse.Namespace) -> Answer:
    """Raises AuditError (exit code 1) naming the first differing quantity, InputError (2) for an unusable extract."""
    extract = parse_extract(_read(options.extract))
    established = audit(extract)
    return {
        "lot": "0x" + extract.binding.lot.hex(),
        "ledger": "0x" + extract.binding.ledger.hex(),
        "chain_id": extract.binding.chain_id,
        "model": "0x" + extract.model_digest.hex(),
        "logits": list(extract.logits),
        "verdict": extract.verdict.name,
        "inference_digest": "0x" + extract.inference_digest.hex(),
        "established": list(established),
        "not_established": list(NOT_ESTABLISHED),
    }


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte past the limit, so that parsing refuses a longer file without reading all of it.
            return file.read(MAX_EXTRACT_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="check the path") from error
