"""Types of command-line options that several commands share, and readers of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.errors import InputError
from millmark.ledger.records import Role

_DIGEST_BYTES = 32

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
SignerUri = Annotated[
    str,
    typer.Option(
        "--signer",
        help="Key that signs: keystore:FILE or file:FILE, readable by you alone, or pkcs11:token=NAME;object=LABEL.",
    ),
]
OperatorSigner = Annotated[
    str | None,
    typer.Option("--signer", help="Key that owns the registry, as keystore:FILE; operator_signer if omitted."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File (mode 0600) with the keystore's passphrase or the token's PIN."),
]
NameKeys = Annotated[
    list[str],
    typer.Option("--name-key", help="Each name key of the participant, oldest first: keystore:FILE or file:FILE."),
]
NamePassphraseFile = Annotated[
    Path | None,
    typer.Option("--name-passphrase-file", help="File (mode 0600) with the passphrase of the name key's keystore."),
]
Gateway = Annotated[
    str, typer.Option("--gateway", metavar="URL", help="Another participant's gateway: scheme and host, no path.")
]
TokenFile = Annotated[
    Path, typer.Option("--token-file", help="File (mode 0600) with a token or API key of that gateway.", dir_okay=False)
]


def parse_roles(text: str) -> Role:
    """Reads role names separated by commas. Raises InputError naming the first unknown one."""
    roles = Role(0)
    for name in text.split(","):
        if name.strip().upper() not in Role.__members__:
            raise InputError(f"unknown role {name.strip()!r}", hint=f"use {', '.join(Role.__members__)}")
        roles |= Role[name.strip().upper()]
    return roles


def parse_digest(text: str) -> bytes:
    """Reads a digest of 32 bytes in hex, with or without 0x. Raises InputError."""
    try:
        digest = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        digest = b""
    if len(digest) != _DIGEST_BYTES:
        raise InputError(f"{text.strip()[:80]!r} is not a digest", hint="give 32 bytes as 64 hex digits")
    return digest
