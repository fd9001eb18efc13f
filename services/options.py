"""Types of command-line options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "Gateway", "PassphraseFile", "SignerUri", "TokenFile"]

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
Gateway = Annotated[
    str, typer.Option("--gateway", metavar="URL", help="Another participant's gateway: scheme and host, no path.")
]
TokenFile = Annotated[
    Path, typer.Option("--token-file", help="File (mode 0600) with a token or API key of that gateway.", dir_okay=False)
]
