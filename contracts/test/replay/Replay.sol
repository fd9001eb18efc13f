// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IHistory} from "../../src/interfaces/IHistory.sol";
import {INotes} from "../../src/interfaces/INotes.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {ITraceLedger} from "../../src/interfaces/ITraceLedger.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Vm} from "../Base.sol";
import {CustodyReplay} from "./CustodyReplay.sol";
import {OrderReplay} from "./OrderReplay.sol";
import {RegistryReplay} from "./RegistryReplay.sol";

/// @notice Rebuilds registry and ledger from raw logs alone, judging every record against the state before it, and
/// compares heads and state with storage after it. Written from the manual, not from the code: it is the suite's oracle.
contract Replay is CustodyReplay {
    bytes32 private constant HEAD_TAG = keccak256("millmark.history.v1");

    uint40 public ledgerSequence;
    mapping(bytes32 subject => bytes32) public headOf;
    mapping(bytes32 subject => bytes32) public previousHeadOf;

    constructor(IRegistry registry_, ITraceLedger ledger_) RegistryReplay(registry_) OrderReplay(ledger_) {}

    /// @notice Takes what was logged since the last call, all of it in the present block.
    function take() external {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            _followOwner(logs[i]);
            if (logs[i].topics.length != 4) continue; // not a record: ownership, forwarder
            Entry memory entry = _open(logs[i]);
            ++count[entry.kind];
            if (logs[i].emitter == address(_registry)) _replayRegistry(entry);
            if (logs[i].emitter == address(_ledger)) _replayLedger(entry);
        }
        for (uint256 i; i < _touched.length; ++i) {
            _compare(_touched[i]);
        }
        delete _touched;
        _hold(Property.Numbering, _ledger.sequence() == ledgerSequence, "ledger: sequence is not the number of logs");
        _hold(Property.Numbering, _registry.sequence() == _registrySequence, "registry: sequence is not its logs");
    }

    /// @notice The whole state at once, quantities included.
    function sweep() external {
        for (uint256 i; i < _allLots.length; ++i) {
            _compareLot(_allLots[i]);
            _hold(Property.Heads, _ledger.headOf(_allLots[i]) == headOf[_allLots[i]], "head differs from its logs");
        }
        _compareQuantities();
        _compareAllCertificates();
    }

    /// @notice What the logs packed directly in a lot, in no particular order.
    function childrenOf(bytes32 lot) external view returns (bytes32[] memory) {
        return _children[lot];
    }

    /// @notice The order that the record `number` placed; 0 for none.
    function orderAt(uint40 number) external view returns (bytes32) {
        return _orderAt[number];
    }

    function _replayLedger(Entry memory entry) private {
        (, bytes32[] memory histories) = abi.decode(entry.data, (address, bytes32[]));
        _hold(Property.Numbering, entry.sequence == ++ledgerSequence, "ledger: sequence has a gap");
        _extend(entry, histories);
        bool known = _applyOrder(entry) || _applyAssignment(entry) || _applyStream(entry) || _applyLot(entry, histories)
            || _applyCustody(entry) || _applyCertificate(entry, histories) || _applyWaiver(entry)
            || _applyNote(entry, histories);
        _hold(Property.Rebuilt, known, "ledger: event of unknown kind");
        _requireHistories(entry, histories);
        for (uint256 i; i < histories.length; ++i) {
            _touch(_orders[histories[i]].sequence != 0 ? Part.Order : Part.Lot, histories[i]);
        }
    }

    /// @dev A record of an order is in that order's history alone, one of lots in theirs, one of a stream in none; only a
    /// note may be about orders and lots.
    function _requireHistories(Entry memory entry, bytes32[] memory histories) private {
        if (_streams[entry.subject].sequence != 0) {
            _hold(Property.Heads, histories.length == 0, "ledger: record of a stream in a history");
            return;
        }
        bool ofOrder = _orders[entry.subject].sequence != 0;
        bool note = entry.kind == INotes.NoteRecorded.selector;
        bool own = !ofOrder || note || histories.length == 1;
        bool named;
        for (uint256 i; i < histories.length; ++i) {
            own = own && (ofOrder || note || _lots[histories[i]].number != 0);
            own = own && (_orders[histories[i]].sequence != 0 || _lots[histories[i]].number != 0);
            named = named || histories[i] == entry.subject;
        }
        _hold(Property.Heads, own && named, "ledger: record in the history of something else");
    }

    function _extend(Entry memory entry, bytes32[] memory histories) private {
        bytes32 inner =
            keccak256(abi.encode(entry.sequence, entry.participant, entry.key, keccak256(entry.data), block.timestamp));
        for (uint256 i; i < histories.length; ++i) {
            bytes32 head = headOf[histories[i]];
            if (head == 0) head = _start(histories[i]);
            previousHeadOf[histories[i]] = head;
            headOf[histories[i]] = keccak256(abi.encode(head, entry.kind, inner));
        }
    }

    function _start(bytes32 subject) private view returns (bytes32) {
        return keccak256(abi.encode(HEAD_TAG, block.chainid, address(_ledger), _ledger.ledgerId(), subject));
    }

    function _followOwner(Vm.Log memory log) private {
        if (log.topics[0] != Ownable.OwnershipTransferred.selector || log.emitter != address(_registry)) return;
        _owner = abi.decode(abi.encode(log.topics[2]), (address));
    }

    function _compare(Touched memory touched) private {
        if (touched.part == Part.Assignment) _compareAssignment(touched.name, touched.operation);
        else if (touched.part == Part.Stream) _compareStream(touched.name);
        else if (touched.part == Part.Order) _compareOrder(touched.name);
        else if (touched.part == Part.Lot) _compareLot(touched.name);
        else _compareRegistry(touched);
        if (touched.part != Part.Order && touched.part != Part.Lot) return;
        _hold(Property.Heads, _ledger.headOf(touched.name) == headOf[touched.name], "head differs from its logs");
    }
}
