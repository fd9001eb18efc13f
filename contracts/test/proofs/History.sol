// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../../src/interfaces/ILots.sol";
import {ITraceLedger} from "../../src/interfaces/ITraceLedger.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {World} from "./World.sol";

/// @notice One writer, and heads that authenticate what it wrote (DESIGN 4, "History" and "Batches").
contract HistoryProof is World {
    /// @dev halmos's own, of an account's storage.
    bytes4 private constant SNAPSHOT = bytes4(keccak256("snapshotStorage(address)"));

    Party private _holder;
    Party private _other;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _holder = _admit(Roles.ANY);
        _other = _admit(Roles.ANY);
        _lot = _receive(_holder, "lot", 10);
        _place(_holder, _other, _terms(_other, 5));
    }

    /// @notice Whatever changes the ledger's storage is a record: the sequence grows by one. What is refused changes nothing.
    /// @dev Bounds: one call of any function but `multicall` and `openStream`, by either company, with any arguments; arrays of
    /// one element, bytes of 64. Two companies with all roles, one lot, one accepted order.
    function check_whateverChangesIsRecorded() external {
        (bytes32 before, uint40 sequence) = (_storageOf(), ledger.sequence());
        bool done = _call(_eitherOf(_holder, _other), _anyCall());
        if (done) assert(ledger.sequence() == sequence + 1);
        else assert(_storageOf() == before);
    }

    /// @notice The head after a record is the hash of the head before and of all that the record says and who made it, when.
    /// @dev Bounds: a lot scrapped, of any quantity, disposition and reason, at any second of 34 years.
    function check_theHeadCommitsToTheRecord(uint40 taken, ILots.Disposition how, bytes32 reason) external {
        vm.warp(START + _number("after", 30));
        bytes32 before = ledger.headOf(_lot);
        uint40 next = ledger.sequence() + 1;
        vm.prank(_holder.key);
        ledger.scrapLot(_lot, taken, how, reason);
        bytes32[] memory histories = new bytes32[](1);
        histories[0] = _lot;
        bytes32 digest = keccak256(abi.encode(_holder.key, histories, taken, how, reason));
        bytes32 inner = keccak256(abi.encode(next, _holder.id, _holder.key, digest, block.timestamp));
        assert(ledger.headOf(_lot) == keccak256(abi.encode(before, ILots.LotScrapped.selector, inner)));
    }

    function _storageOf() private returns (bytes32) {
        (, bytes memory data) = address(any).call(abi.encodeWithSelector(SNAPSHOT, address(ledger)));
        return abi.decode(data, (bytes32));
    }
}

/// @notice Many records in one transaction (DESIGN 4, "Batches").
contract MulticallProof is World {
    Party private _holder;
    Party private _other;
    ITraceLedger private _twin;

    function setUp() public override {
        super.setUp();
        _holder = _admit(Roles.ANY);
        _other = _admit(Roles.CARRIER);
        _twin = _newLedger();
        _fill(ledger);
        _fill(_twin);
    }

    /// @notice `multicall` of two calls does what the two do one after the other, and nothing when one of them fails.
    /// @dev Bounds: two of four calls (scrap, quarantine, offer, release) on a lot, in any order, with any quantity and recipient,
    /// by its custodian or another company.
    function check_multicallIsItsCallsOneByOne(uint8[2] memory which, uint40[2] memory quantity, uint32 to) external {
        bytes[] memory calls = new bytes[](2);
        (calls[0], calls[1]) = (_choose(which[0], quantity[0], to), _choose(which[1], quantity[1], to));
        address caller = _eitherOf(_holder, _other);
        bytes32 untouched = keccak256(abi.encode(ledger.lotOf(_lot())));
        vm.prank(caller);
        (bool done,) = address(ledger).call(abi.encodeCall(ITraceLedger.multicall, (calls)));
        vm.prank(caller);
        (bool first,) = address(_twin).call(calls[0]);
        vm.prank(caller);
        (bool second,) = address(_twin).call(calls[1]);
        bytes32 left = keccak256(abi.encode(ledger.lotOf(_lot())));
        assert(done == (first && second));
        if (done) assert(left == keccak256(abi.encode(_twin.lotOf(_lot()))) && ledger.sequence() == _twin.sequence());
        else assert(left == untouched && ledger.sequence() == 1);
    }

    function _fill(ITraceLedger into) private {
        vm.prank(_holder.key);
        into.receiveLot("lot", 10, PIECE, ROOT);
    }

    function _lot() private view returns (bytes32) {
        return keccak256(abi.encode(uint8(2), _holder.id, bytes32("lot"))); // Subjects.derive
    }

    function _choose(uint8 which, uint40 quantity, uint32 to) private view returns (bytes memory) {
        if (which == 0) return abi.encodeCall(ILots.scrapLot, (_lot(), quantity, ILots.Disposition.Lost, ROOT));
        if (which == 1) return abi.encodeCall(ILots.quarantineLot, (_lot(), 0, ROOT));
        if (which == 2) return abi.encodeCall(ledger.offerCustody, (_item(_lot(), 0), to, ROOT));
        return abi.encodeCall(ILots.releaseLot, (_lot(), 0, ROOT));
    }
}
