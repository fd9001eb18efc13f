"""The small world behind a gateway with authentication."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from millmark.ledger.records import ALL_ROLES, Role
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import ParticipantRow
from tests.support.fake_world import SMITH, build_world
from tests.support.gateway_client import SESSION, Browser, build_caller
from tests.support.sign_in import NOW_S, add_keys, open_session

OWNER, STRANGER, NO_ROLE, SUSPENDED = 50, 99, 51, 52
BY_ROLE = {str(role.name): 60 + place for place, role in enumerate(Role)}
"""For each role, a participant that has only that role and takes part in nothing."""


class Site:
    """A portal to which every participant can sign in."""

    def __init__(self, store: Store, **parts: Any) -> None:
        self.store, self.world = store, build_world(store)
        with store.transaction() as connection:
            rows = Rows(connection)
            known = rows.get(ParticipantRow, SMITH)
            assert known is not None
            alone = [(number, int(Role[role])) for role, number in BY_ROLE.items()]
            others = [(OWNER, int(ALL_ROLES)), (STRANGER, int(ALL_ROLES)), (NO_ROLE, 0), *alone]
            new = [replace(known, number=one, sequence=one, keys=1, roles=roles) for one, roles in others]
            rows.insert([*new, replace(known, number=SUSPENDED, sequence=SUSPENDED, keys=1, suspended=True)])
        everybody = [number for number, _ in others]
        add_keys(store, *range(1, 8), *everybody, SUSPENDED)
        self.caller = build_caller(store, OWNER, **parts)

    def browser(self, participant: int | None = None, age_s: int = 0) -> Browser:
        """A browser, signed in unless `participant` is None."""
        return Browser(self.caller, {} if participant is None else {SESSION: self.session(participant, age_s)})

    def session(self, participant: int, age_s: int = 0) -> str:
        return open_session(self.store, participant, NOW_S - age_s)
