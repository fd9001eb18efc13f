"""The text of `millmark.toml` as `millmark init` and `millmark join` write it: with what is needed set, and the rest as
comments with their defaults."""

from __future__ import annotations

import json
import re

__all__ = ["company_settings", "operator_settings", "set_setting"]

_HEAD = """\
# {whose}. All settings: services/SETTINGS.md; relative paths start at this folder.

# The chain: JSON-RPC of a node that you trust, and its kind.
chain_url = {chain_url}
engine = {engine}
deployment = "deployment.json"

# Index, outbox and private book. For PostgreSQL: "postgresql://user@host/name".
database = "sqlite:///millmark.sqlite"

# Where the gateway listens. Others need https and a name: set gateway_url, and gateway_tls_... or a proxy.
# gateway_host = "127.0.0.1"
gateway_port = {port}
{url}
# Who may call it: "required" is a credential of a participant (the default).
# gateway_auth = "required"

# How often it looks for new blocks, in seconds.
# follow_interval_s = 1.0

# The audit log.
# audit = "audit"
"""
_OPERATOR = """
# The key that owns the registry: what commands of the operator sign with, unless --signer names another one.
operator_signer = "keystore:key.json"
{passphrase}

# Whether people who may record also act as the operator on the gateway's pages, with this key.
# gateway_operates = false
"""
_COMPANY = """
# The company. The number is set when the operator has admitted it.
{participant}

# The key that signs what the gateway records, and the keys from which the salts of identifiers derive: keep a copy, a
# lost name key cannot be replaced.
gateway_signer = "keystore:key.json"
{passphrase}
gateway_name_keys = ["keystore:names.json"]
{name_passphrase}

# The key that opens what other companies encrypt for this one: keep a copy.
recipient_key = "recipient.json"

# The gateway from which names and addresses of the companies come: the operator's.
directory_url = {directory_url}

# The authority of their certificates, if it is a private one.
# partner_ca = "partners.pem"
"""
_UNKNOWN = "# gateway_participant = 0"


def operator_settings(
    name: str, chain_url: str, engine: str, port: int, gateway_url: str | None, passphrase_file: str | None
) -> str:
    """Settings of the operator of the consortium `name`."""
    return _head(f"Operator of {name}", chain_url, engine, port, gateway_url) + _OPERATOR.format(
        passphrase=_or_comment("operator_passphrase_file", passphrase_file, "passphrase")
    )


def company_settings(
    name: str,
    chain_url: str,
    engine: str,
    port: int,
    gateway_url: str | None,
    passphrase_file: str | None,
    directory_url: str,
) -> str:
    """Settings of a company that joins; its number is not known yet."""
    return _head(name, chain_url, engine, port, gateway_url) + _COMPANY.format(
        participant=_UNKNOWN,
        passphrase=_or_comment("gateway_passphrase_file", passphrase_file, "passphrase"),
        name_passphrase=_or_comment("gateway_name_passphrase_file", passphrase_file, "passphrase"),
        directory_url=_quote(directory_url),
    )


def set_setting(text: str, name: str, value: int) -> str:
    """The text with a number set: in the line that sets it or keeps its place, or else in a new line at the end."""
    line = f"{name} = {value}"
    changed, count = re.subn(rf"(?m)^#? ?{name} = .*$", line, text, count=1)
    return changed if count else f"{text.rstrip()}\n{line}\n"


def _head(whose: str, chain_url: str, engine: str, port: int, gateway_url: str | None) -> str:
    return _HEAD.format(
        whose=whose,
        chain_url=_quote(chain_url),
        engine=_quote(engine),
        port=port,
        url=_or_comment("gateway_url", gateway_url, "https://gateway.example"),
    )


def _or_comment(name: str, value: str | None, example: str) -> str:
    return f"# {name} = {_quote(example)}" if value is None else f"{name} = {_quote(value)}"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a basic string of TOML
