"""`python -m millmark.quality export`: print a model as JSON, or write it with another threshold."""

from __future__ import annotations

import argparse
import dataclasses
from array import array
from pathlib import Path

from millmark.quality.commands.options import Answer, Parser, add_examples, write
from millmark.quality.errors import InputError
from millmark.quality.model import build_model, decide, model_digest, parse_model

_EXAMPLES = """  python -m millmark.quality export --model model.bin --to json > model.json
  python -m millmark.quality export --model model.bin --to bin --threshold 12000 --out stricter.bin"""


def add_options(parser: Parser) -> None:
    """Add the command's options and its function to a parser."""
    add_examples(parser, _EXAMPLES)
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="model file (model.bin)")
    parser.add_argument(
        "--to", choices=["json", "bin"], default="json", help="print every number as JSON, or write the bytes"
    )
    parser.add_argument(
        "--threshold",
        type=int,
        metavar="N",
        help="FAIL at this margin or above (default: unchanged); this makes another model, with a new digest, no card",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write the bytes to")
    parser.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> Answer:
    if (options.to == "bin") != (options.out is not None):
        raise InputError(
            "--to bin and --out go together", hint="give both to write a file, or leave both out to print JSON"
        )
    try:
        model = parse_model(options.model.read_bytes())
    except OSError as error:
        raise InputError(f"{options.model} cannot be read: {error.strerror}", hint="check the path") from error
    if options.threshold is not None:
        model = decide(model, dataclasses.replace(model.decision, threshold=options.threshold))
    built = build_model(model)
    answer: Answer = {"sha256": model_digest(built).hex(), "bytes": len(built), "family": model.family}
    if options.to == "json":
        return answer | {"model": describe_model(model)}
    write(options.out, built)
    return answer | {"model_file": str(options.out), "threshold": model.decision.threshold}


def describe_model(value: object) -> object:
    """JSON form of a model: dataclasses as objects with their `kind`, bytes (int8 weights) and sequences as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = [field.name for field in dataclasses.fields(value) if field.init]
        kind = {"kind": type(value).__name__}
        return kind | {name: describe_model(getattr(value, name)) for name in named}
    if isinstance(value, bytes):
        return list(array("b", value))
    if isinstance(value, (list, tuple)):
        return [describe_model(part) for part in value]
    return value
