"""The obvious index with web3.py: get_logs in steps of 100 blocks, process_log, and a row of SQLite for each record. It
takes the node's word, keeps no state, and does not notice a reorganisation."""

import json
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from web3 import HTTPProvider, Web3

from tests.bench.peers.answer import Act, Prepare

_STEP = 100


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    abi = json.loads(Path(arguments["abi"]).read_text())["abi"]
    folder = tempfile.TemporaryDirectory(prefix="millmark-bench-")
    turns = iter(range(10**9))

    def index() -> Act:
        database = sqlite3.connect(Path(folder.name) / f"{next(turns)}.sqlite")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "CREATE TABLE records (block INTEGER, place INTEGER, event TEXT, sequence INTEGER, arguments TEXT)"
        )
        web3 = Web3(HTTPProvider(arguments["url"]))
        contract = web3.eth.contract(address=Web3.to_checksum_address(arguments["ledger"]), abi=abi)
        events: dict[str, Any] = {event.topic: event for event in contract.events}  # type: ignore[attr-defined]

        def act() -> tuple[int, object]:
            last, count = web3.eth.block_number, 0
            for first in range(0, last + 1, _STEP):
                span: Any = {"fromBlock": first, "toBlock": min(first + _STEP - 1, last), "address": contract.address}
                rows = []
                for log in web3.eth.get_logs(span):
                    found = events["0x" + log["topics"][0].hex().removeprefix("0x")]().process_log(log)
                    values = dict(found["args"])
                    text = Web3.to_json(values)
                    rows.append((found["blockNumber"], found["logIndex"], found["event"], values.get("sequence"), text))
                with database:
                    database.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
                count += len(rows)
            database.close()
            return count, None

        return act

    return {"index": index}
