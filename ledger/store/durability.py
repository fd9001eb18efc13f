"""Refuses a PostgreSQL server that acknowledges a write before it is on the disk.

With `synchronous_commit = off` or `fsync = off`, a power cut takes back the last writes, the outbox's among them: a
nonce that was given out is given out again, and a record that was acknowledged is gone. `full_page_writes = off` is not
refused: it is right on file systems that never tear a page, which a program cannot find out. Nor is what follows from
the choice of a standby: with `local`, writes are on the server's own disk, and a standby may lack them when promoted.

Either setting may come from the server's configuration, from a database, a role or a role in a database, or from the
URL; the error names the place.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine.interfaces import DBAPICursor

from millmark.ledger.errors import StoreError

DISPOSABLE = "millmark-disposable"
"""`cluster_name` of a server that was started for a test or the demonstration, and whose data may be lost. PostgreSQL
takes this setting when the server starts and never from a URL, a role or a database, so that nobody can switch the
refusal off from afar."""
SETTINGS = "current_setting('synchronous_commit'), current_setting('fsync'), current_setting('cluster_name')"
"""What to select first, so that `refuse` can judge the answer."""
_NAMES = ("synchronous_commit", "fsync")
_SOURCE = "SELECT source, current_user, current_database() FROM pg_settings WHERE name = %s"
_MEND = {
    "client": "take {name} out of the database URL's options",
    "database": 'ALTER DATABASE "{database}" RESET {name}',
    "user": 'ALTER ROLE "{user}" RESET {name}',
    "database user": 'ALTER ROLE "{user}" IN DATABASE "{database}" RESET {name}',
}
"""By where PostgreSQL says that a setting comes from."""
_MEND_SERVER = "set {name} = on in the server's configuration, then SELECT pg_reload_conf()"


def refuse(url: str, cursor: DBAPICursor) -> StoreError | None:
    """Judge the row that a statement which begins with SETTINGS has returned. Returns the error to raise, or None.

    `url` names the database in the error, without its password.
    """
    found: Any = cursor.fetchone()
    if found[2] == DISPOSABLE:
        return None
    name = next((name for name, value in zip(_NAMES, found, strict=False) if value == "off"), None)
    if name is None:
        return None
    cursor.execute(_SOURCE, (name,))
    source, user, database = cursor.fetchone() or ("", "", "")
    return StoreError(
        f"{url} acknowledges writes that a power cut takes back: {name} is off",
        hint=_MEND.get(source, _MEND_SERVER).format(name=name, user=user, database=database),
    )
