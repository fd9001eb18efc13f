// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../src/interfaces/ILots.sol";
import {ITraceLedger} from "../src/interfaces/ITraceLedger.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {World} from "./World.sol";

/// @notice One writer, and heads that authenticate what it wrote (DESIGN 4, "History").
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
