"""A devchain's journal: the requests that made its blocks, so that a restart makes the same blocks again.

One JSON object per line. The first holds time and hash of the genesis block, and the private keys of the validators
that seal the blocks, if there are any: they are worth nothing outside of this chain, and only the file's owner may read
it. Each further one holds the request that made a block, and that block's time, number and hash. `check` is the SHA-256
over the previous line's `check` and the line without its own (RFC 8785), so no line can be changed, removed or moved
unnoticed. A line is on disk before its request is answered. An incomplete last line was being written during a crash;
its request was never answered, so it is dropped.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from millmark.ledger.canonical import canonical_json, sha256
from millmark.ledger.chain import EmbeddedChain, RpcError
from millmark.ledger.errors import CanonicalError, MillmarkError, SettingsError, StoreDamagedError
from millmark.ledger.keys import LocalSigner

_FORMAT = "millmark-devchain-2"
_WRITING = ("eth_sendRawTransaction", "anvil_setBalance", "evm_mine")
_SERVER_ERROR = -32000
_KEY_BYTES = 32
_HEAD = ("eth_getBlockByNumber", ["latest", False])


class JournaledChain:
    """An embedded chain with a journal at `path`, which is created if it does not exist.

    A new chain has this number of `validators`, with keys of their own that seal its blocks; one that is continued has
    those that it was made with, and a number other than 0 must be theirs. A new one begins at `genesis_time_s`, in
    seconds since 1970, or now. Raises StoreDamagedError, naming the last good block, if the journal is damaged or its
    requests do not produce the blocks it lists; SettingsError if it cannot be opened, another devchain is writing it,
    or its chain has another number of validators; InputError for too many.
    """

    def __init__(self, path: Path, validators: int = 0, genesis_time_s: int | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._check = b""
        self._broken: OSError | None = None
        self._file = _lock(path)
        lines = path.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):  # never acknowledged, see the module's docstring
            os.truncate(path, sum(map(len, lines[:-1])))
            lines.pop()
        os.lseek(self._file, 0, os.SEEK_END)
        if lines:
            self._chain = self._replay(lines, validators)
        else:
            self._chain = self._begin(validators, genesis_time_s)

    def request(self, method: str, params: list[Any]) -> Any:
        """The answer of the embedded chain. A request that makes a block is answered once its line is on disk.

        Raises RpcError. After a line could not be written, the chain makes no more blocks.
        """
        return self._answer(self._chain.request, method, params)

    def request_at(self, time_s: int, method: str, params: list[Any]) -> Any:
        """Like `request`, but a new block gets the time `time_s` as the embedded chain gives it."""
        return self._answer(partial(self._chain.request_at, time_s), method, params)

    def close(self) -> None:
        os.close(self._file)

    def _answer(self, ask: Callable[[str, list[Any]], Any], method: str, params: list[Any]) -> Any:
        with self._lock:
            if method not in _WRITING:
                return ask(method, params)
            if self._broken is not None:
                raise RpcError(_SERVER_ERROR, f"the journal cannot be written: {self._broken.strerror}")
            # The block's time and hash are known only after it was made, so the line is written after it. A crash
            # between the two loses a block that no caller has seen.
            before = self._chain.request(*_HEAD)
            answer = ask(method, params)
            head = self._chain.request(*_HEAD)
            if head["hash"] != before["hash"]:
                self._write_block(head, method, params)
            return answer

    def _begin(self, validators: int, genesis_time_s: int | None) -> EmbeddedChain:
        """A new chain, and the journal's first line."""
        keys = [secrets.token_bytes(_KEY_BYTES) for _ in range(validators)]
        chain = _open_chain(genesis_time_s, keys)
        genesis = chain.request(*_HEAD)
        first = {"journal": _FORMAT, "genesis_time_s": int(genesis["timestamp"], 16), "hash": genesis["hash"]}
        self._append({**first, "validators": [key.hex() for key in keys]})
        return chain

    def _write_block(self, head: dict[str, Any], method: str, params: list[Any]) -> None:
        block = {"number": int(head["number"], 16), "hash": head["hash"], "time_s": int(head["timestamp"], 16)}
        try:
            self._append({**block, "method": method, "params": params})
        except OSError as error:
            self._broken = error  # this block is not in the journal: a later one would not replay on top of it
            raise RpcError(_SERVER_ERROR, f"the journal cannot be written: {error.strerror}") from error

    def _append(self, entry: dict[str, Any]) -> None:
        check = _check(self._check, entry)
        line = json.dumps({**entry, "check": check.hex()}, separators=(",", ":")).encode() + b"\n"
        while line:  # write() may write less than it was given
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)
        self._check = check

    # Replay

    def _replay(self, lines: list[bytes], validators: int) -> EmbeddedChain:
        first = self._parse(lines[0], 1, "")
        if first.get("journal") != _FORMAT or type(first.get("genesis_time_s")) is not int:
            raise self._damaged(1, "")
        try:
            keys = [bytes.fromhex(key) for key in first["validators"]]
            chain = _open_chain(first["genesis_time_s"], keys)
        except (KeyError, TypeError, ValueError, MillmarkError) as error:
            raise self._damaged(1, "") from error
        if validators not in (0, len(keys)):
            self.close()
            raise SettingsError(
                f"the chain in {self._path} has {len(keys)} validators, not {validators}",
                hint="leave --validators out to continue it, or name another journal",
            )
        good = _describe(chain)
        if chain.request(*_HEAD)["hash"] != first.get("hash"):
            raise self._damaged(1, "")
        for number, line in enumerate(lines[1:], start=2):
            entry = self._parse(line, number, good)
            try:
                chain.request_at(entry["time_s"], entry["method"], entry["params"])
            except (RpcError, KeyError, TypeError) as error:
                raise self._damaged(number, good) from error
            # The hash covers state, time and parent, so an equal one means an equal chain up to here.
            if chain.request(*_HEAD)["hash"] != entry["hash"]:
                raise self._damaged(number, good)
            good = _describe(chain)
        return chain

    def _parse(self, line: bytes, number: int, good: str) -> dict[str, Any]:
        try:
            entry = json.loads(line)
            told = bytes.fromhex(entry.pop("check"))
            found = _check(self._check, entry)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, CanonicalError) as error:
            raise self._damaged(number, good) from error
        if told != found or not isinstance(entry, dict):
            raise self._damaged(number, good)
        self._check = found
        return entry

    def _damaged(self, number: int, good: str) -> StoreDamagedError:
        self.close()  # a failed start must not hold the lock
        if not good:
            return StoreDamagedError(
                f"the journal {self._path} is damaged in its first line, so no block can be replayed",
                hint="restore it from a backup, or move it away to start a new chain",
            )
        return StoreDamagedError(
            f"the journal {self._path} is damaged in line {number}; the last good block is {good}",
            hint=f"restore it from a backup, or cut it to its first {number - 1} lines to continue from that block",
        )


def check_unused(path: Path) -> None:
    """Returns if no devchain is using the journal, or it does not exist. Raises SettingsError."""
    if path.exists():
        os.close(_lock(path))


def discard_journal(path: Path) -> None:
    """Deletes the journal if it exists. Raises SettingsError if a devchain is using it."""
    if path.exists():
        # Deleted under the lock, so never below a running devchain; one that starts afterwards gets a new file.
        file = _lock(path)
        path.unlink()
        os.close(file)


def _lock(path: Path) -> int:
    """Opens the file, creating it if needed, with an exclusive lock that lives as long as the descriptor."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise SettingsError(
            f"the journal {path} cannot be opened: {error.strerror}",
            hint="check its path and permissions, and that no other devchain uses it",
        ) from error
    return file


def _open_chain(genesis_time_s: int | None, keys: Sequence[bytes]) -> EmbeddedChain:
    return EmbeddedChain(genesis_time_s, validators=[LocalSigner.from_bytes(key) for key in keys])


def _check(before: bytes, entry: dict[str, Any]) -> bytes:
    return sha256(before + canonical_json(entry))


def _describe(chain: EmbeddedChain) -> str:
    head = chain.request(*_HEAD)
    return f"{int(head['number'], 16)} {head['hash']}"
