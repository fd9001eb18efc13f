"""How the demonstration as in life ends: the buyer alone, with everything that the others handed over to it."""

from __future__ import annotations

import json

import httpx

from ledger.errors import MillmarkError
from ledger.index import Follower
from services.lab.demo.life.companies import Life
from services.settings import SETTINGS_FILE

__all__ = ["fetch_passport", "follow_to_the_end", "keep_chain"]

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


def keep_chain(life: Life) -> None:
    """Lets the buyer's gateway run the chain from now on, so that it can be started by itself; if the chain is the
    demonstration's own."""
    if life.journal is None:
        return
    path = life.buyer_home.folder / SETTINGS_FILE
    journal = f"../{life.operator.folder.name}/{life.journal.name}"
    path.write_text(f"{path.read_text()}devchain_journal = {json.dumps(journal)}\n")
