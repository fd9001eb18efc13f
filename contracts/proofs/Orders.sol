// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LotOperations} from "../src/LotOperations.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {SeededLots} from "./SeededLots.sol";
import {World} from "./World.sol";

/// @notice What must have arrived before an order is delivered (DESIGN 4, "Orders").
contract DeliveryProof is World {
    uint32 private constant AGREED = 10;

    Party private _company;
    bytes32 private _order;
    bytes32[2] private _lots;

    function setUp() public override {
        super.setUp();
        _company = _admit(Roles.ANY);
        _order = _place(_company, _company, _terms(_company, AGREED));
        vm.startPrank(_company.key);
        uint40 machine = registry.registerMachine("machine", ROOT);
        SeededLots(address(ledger)).seedStream("stream", _company.id, machine);
        uint40 assignment = ledger.proposeAssignment(_order, 0, machine, ROOT);
        ledger.acceptAssignment(_order, 0, assignment, ROOT);
        ledger.startAssignment(_order, 0, assignment, "stream", ROOT);
        uint40[2] memory quantities = [_number("first", 40), _number("second", 40)];
        vm.assume(quantities[0] != 0 && quantities[1] != 0);
        for (uint256 i; i < 2; ++i) {
            _lots[i] = ledger.commissionLot(bytes32(i + 1), _order, 0, quantities[i], PIECE, ROOT);
        }
        ledger.anchor("stream", 11, ROOT);
        ledger.finishAssignment(_order, 0, assignment, "stream", 10, LEAF);
        ledger.completeOrder(_order, ROOT);
        vm.stopPrank();
    }

    /// @notice An order is delivered only with lots that together hold the quantity agreed, each of which counts once.
    /// @dev Bounds: 10 pieces agreed, two lots of any quantities (40 bits); a list of one or two, each any of them, in
    /// any order.
    function check_deliveryNeedsTheQuantity(bool both, bool[2] memory which) external {
        bytes32[] memory named = both ? new bytes32[](2) : new bytes32[](1);
        for (uint256 i; i < named.length; ++i) {
            named[i] = which[i] ? _lots[1] : _lots[0];
        }
        vm.prank(_company.key);
        ledger.confirmDelivery(_order, named, ROOT);
        uint256 delivered;
        for (uint256 i; i < 2; ++i) {
            bool listed = which[0] == (i == 1) || (both && which[1] == (i == 1));
            if (listed) delivered += ledger.lotOf(_lots[i]).quantity;
        }
        assert(delivered >= AGREED);
    }

    function _newLots() internal override returns (LotOperations) {
        return new SeededLots(registry);
    }
}
