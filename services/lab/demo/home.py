"""A home of the demo in one database: everything that later commands need, including chain and companies' keys."""

from __future__ import annotations

import json
from pathlib import Path

from millmark.ledger.chain import write_deployment
from millmark.ledger.errors import SettingsError
from millmark.ledger.keys import write_private
from millmark.services.devchain import check_unused, discard_journal
from millmark.services.lab.demo.consortium import Company, Consortium
from millmark.services.lab.demo.existing import ExistingChain
from millmark.services.settings import SETTINGS_FILE

__all__ = [
    "DISCLOSE",
    "FINISHED",
    "FORECASTS",
    "JOURNAL",
    "check_forecasts",
    "clear_home",
    "database_of",
    "settings_of",
    "write_home",
]

JOURNAL = "chain.journal"
_DATABASE = "demo.sqlite"
_KEYS = "keys"
FINISHED = "demonstration.json"
"""Written last, so that a demonstration that was interrupted has none (millmark.services.lab.demo.gateways)."""
FORECASTS = "forecasts"
"""Folder, in that of the demo, of the home with the forecasts: it has a ledger of its own."""
DISCLOSE = ("names", "/passport")
"""What the demo's passports disclose beyond the records."""


def database_of(home: Path) -> str:
    """URL of the demo's database."""
    return f"sqlite:///{home / _DATABASE}"


def clear_home(home: Path) -> None:
    """Creates the folder, or deletes chain and database of an earlier demo in it, and nothing else.

    Earlier keys are replaced later, by `write_home`. Raises SettingsError if the folder is not a demo's, or if a
    gateway is still running on it or on the forecasts in it.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{home} cannot be created: {error.strerror}", hint="name another folder") from error
    _check_ours(home)
    check_forecasts(home)
    # The journal first: its lock shows whether a gateway still uses this folder, before anything is deleted.
    discard_journal(home / JOURNAL)
    for leftover in (*home.glob(f"{_DATABASE}*"), *home.glob(FINISHED)):
        leftover.unlink()


def check_forecasts(folder: Path) -> None:
    """Returns if the home with the forecasts in a demo's folder can be cleared later. Raises SettingsError."""
    _check_ours(folder / FORECASTS)
    check_unused(folder / FORECASTS / JOURNAL)


def _check_ours(home: Path) -> None:
    for name in (SETTINGS_FILE, JOURNAL, _KEYS):
        if (home / name).exists() and not (home / _DATABASE).exists():
            raise SettingsError(
                f"{home} contains files that are not from a demo ({name})", hint="name another folder with --out"
            )


def settings_of(existing: ExistingChain) -> dict[str, str]:
    """The settings by which a home finds a chain."""
    return {"chain_url": existing.url, "engine": existing.profile.name}


def write_home(
    home: Path, consortium: Consortium, company: Company, port: int, existing: ExistingChain | None = None
) -> None:
    """Writes the deployment file, all keys, and the settings of a company's gateway at `port`. It serves the chain at
    the next port, unless that is an `existing` one."""
    own = {"chain_url": f"http://127.0.0.1:{port + 1}", "devchain_journal": JOURNAL}
    settings: dict[str, str | int | list[str]] = {
        "database": f"sqlite:///{_DATABASE}",
        "passport_disclose": list(DISCLOSE),
        **(own if existing is None else settings_of(existing)),
        "gateway_port": port,
        "gateway_participant": company.number,
        "gateway_signer": f"file:{_key_file(company)}",
        "gateway_name_keys": [f"file:{_name_key_file(company)}"],
    }
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (home / SETTINGS_FILE).write_text(text)
    write_deployment(home / "deployment.json", consortium.chain.deployment)
    _write_keys(home, consortium)


def _write_keys(home: Path, consortium: Consortium) -> None:
    """Writes the keys unencrypted; they have no value outside this chain."""
    (home / _KEYS).mkdir(exist_ok=True)
    for company in (consortium.owner, *consortium.companies):
        secrets = ((_key_file(company), company.signer.unsafe_secret()), (_name_key_file(company), company.name_seed))
        for path, secret in secrets:
            (home / path).unlink(missing_ok=True)  # from an earlier run
            write_private(home / path, secret.hex().encode())


def _key_file(company: Company) -> Path:
    return Path(_KEYS, f"{company.name.lower().replace(' ', '-')}.key")


def _name_key_file(company: Company) -> Path:
    return _key_file(company).with_suffix(".names.key")
