"""How the demonstration as in life ends: the buyer alone, with everything that the others handed over to it."""

from __future__ import annotations

import json

import httpx

from millmark.ledger.errors import MillmarkError
from millmark.ledger.index import Follower
from millmark.services.lab.demo.gateways import FORECASTING, ROLES, Place
from millmark.services.lab.demo.life.companies import Life
from millmark.services.lab.demo.life.homes import Home
from millmark.services.settings import SETTINGS_FILE

__all__ = ["fetch_passport", "follow_to_the_end", "leave_homes"]

_TIMEOUT_S = 30.0


def follow_to_the_end(life: Life) -> int:
    """Returns when the buyer's index has all records; how many blocks it is at."""
    buyer = life.consortium.buyer
    return Follower(life.consortium.chain, buyer.store).follow().block_number


def fetch_passport(life: Life, code: str) -> int:
    """Stops all gateways but the buyer's, and reads a part's passport there, by the link in the code on the part.

    Returns the number of bytes. Raises MillmarkError if the gateway does not serve it.
    """
    life.stop_all_but([life.buyer_home])
    answer = httpx.get(code, timeout=_TIMEOUT_S, follow_redirects=True, trust_env=False)
    if answer.status_code != httpx.codes.OK:
        raise MillmarkError(
            f"the buyer's gateway answered {answer.status_code} for the passport", hint="see its gateway.log"
        )
    return len(answer.content)


def leave_homes(life: Life) -> tuple[Place, ...]:
    """Prepares the homes to be opened later, without this process, and returns the gateways that can be started.

    The buyer's runs the chain from now on, if that is the demonstration's own; people act as the operator at the
    operator's.
    """
    if life.journal is not None:
        journal = f"../{life.operator.folder.name}/{life.journal.name}"
        _add_setting(life.buyer_home, "devchain_journal", journal)
    # Not before: this process recorded with the operator's key itself, and a key has one sender.
    _add_setting(life.operator, "gateway_operates", True)
    homes = *life.homes, life.operator
    return (*(Place(one.folder.name, one.name, ROLES.get(one.folder.name, "")) for one in homes), FORECASTING)


def _add_setting(home: Home, name: str, value: str | bool) -> None:
    path = home.folder / SETTINGS_FILE
    path.write_text(f"{path.read_text()}{name} = {json.dumps(value)}\n")
