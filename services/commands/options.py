"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "PassphraseFile", "SignerUri"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
SignerUri = Annotated[
    str,
    typer.Option(
        "--signer",
        help="Key that signs: keystore:FILE or file:FILE, readable by you alone, or pkcs11:token=NAME;object=LABEL.",
    ),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File (mode 0600) with the keystore's passphrase or the token's PIN."),
]
