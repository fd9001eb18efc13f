// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../src/interfaces/ILots.sol";
import {ITraceLedger} from "../src/interfaces/ITraceLedger.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {World} from "./World.sol";

/// @notice One writer, and heads that authenticate what it wrote (DESIGN 4, "History" and "Batches").
contract HistoryProof is World {
    Party private _holder;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _holder = _admit(Roles.ANY);
        _lot = _receive(_holder, "lot", 10);
    }

    /// @notice The head after a record is the hash of the head before and of all that the record says and who made it,
    /// when.
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
}

/// @notice Many records in one transaction (DESIGN 4, "Batches").
contract MulticallProof is World {
    Party private _holder;
    ITraceLedger private _twin;

    function setUp() public override {
        super.setUp();
        _holder = _admit(Roles.ANY);
        _twin = _newLedger();
        _fill(ledger);
        _fill(_twin);
    }

    /// @notice `multicall` of two calls does what the two do one after the other, and nothing when one of them fails.
    /// @dev Bounds: a lot of 10 is scrapped twice, in any quantities (40 bits), by its custodian.
    function check_multicallIsItsCallsOneByOne(uint40[2] memory quantity) external {
        bytes[] memory calls = new bytes[](2);
        for (uint256 i; i < 2; ++i) {
            calls[i] = abi.encodeCall(ILots.scrapLot, (_lot(), quantity[i], ILots.Disposition.Lost, ROOT));
        }
        bool done = _call(_holder.key, abi.encodeCall(ITraceLedger.multicall, (calls)));
        vm.startPrank(_holder.key);
        (bool first,) = address(_twin).call(calls[0]);
        (bool second,) = address(_twin).call(calls[1]);
        vm.stopPrank();
        assert(done == (first && second));
        assert(ledger.sequence() == (done ? 3 : 1));
        assert(ledger.lotOf(_lot()).quantity == (done ? _twin.lotOf(_lot()).quantity : 10));
    }

    function _fill(ITraceLedger into) private {
        vm.prank(_holder.key);
        into.receiveLot("lot", 10, PIECE, ROOT);
    }

    function _lot() private view returns (bytes32) {
        return keccak256(abi.encode(uint8(2), _holder.id, bytes32("lot"))); // Subjects.derive
    }
}
