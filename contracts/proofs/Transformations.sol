// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../src/interfaces/ILots.sol";
import {GatedWorld} from "./GatedWorld.sol";

/// @notice What making a lot into something else does to its gate (DESIGN 4, "Transformations").
contract TransformationProof is GatedWorld {
    bytes32 private _ungated;

    function setUp() public override {
        super.setUp();
        vm.startPrank(_maker.key);
        _ungated = ledger.placeOrder("ungated", _terms(_maker, 0));
        ledger.acceptOrder(_ungated, ROOT);
        uint40 machine = ledger.assignmentOf(_order, 0).machine;
        uint40 assignment = ledger.proposeAssignment(_ungated, 0, machine, ROOT);
        ledger.acceptAssignment(_ungated, 0, assignment, ROOT);
        ledger.startAssignment(_ungated, 0, assignment, "work", ROOT);
        vm.stopPrank();
    }

    /// @notice A lot does not slip past the gate of its order by being made into something else: not into stock, nor
    /// into a lot of another order.
    /// @dev Bounds: a lot of 10 of a gated order; one transformation of any kind by its maker, of any quantity (40
    /// bits), as component or not, into one lot or two, of no order or of one without a gate on which the maker works.
    function check_aGatedLotIsNotRenamed(uint8 kind, bool component, bool toStock, bool two, uint40 taken) external {
        ILots.Transformation memory change;
        change.kind = ILots.TransformationKind(kind);
        (change.unit, change.outputUnit, change.yieldIn, change.yieldOut) = (PIECE, PIECE, 1, 1);
        if (!toStock) change.order = _ungated;
        uint40 stocked = component ? 1 : 0; // a component adds nothing, so something else has to be conserved
        change.inputs = new ILots.Input[](1 + stocked);
        change.inputs[stocked] = ILots.Input(_lot, _order, taken, component);
        if (component) change.inputs[0] = ILots.Input(_receive(_maker, "stock", 2), 0, 2, false);
        if (component && change.inputs[0].lot > _lot) {
            (change.inputs[0], change.inputs[1]) = (change.inputs[1], change.inputs[0]);
        }
        change.outputs = new ILots.Output[](two ? 2 : 1);
        uint40 made = component ? 2 : taken;
        change.outputs[0] = ILots.Output("x", two ? 1 : made, PIECE, ROOT);
        if (two) change.outputs[1] = ILots.Output("y", made - 1, PIECE, ROOT);
        assert(!_call(_maker.key, abi.encodeCall(ledger.transformLots, (change))));
    }

    /// @notice A pass is about the lot as it was: it opens no gate once the lot was reworked.
    /// @dev Bounds: a pass of any expiry, a rework without components, an offer to the buyer, each at any second of the
    /// 34 years after the one before.
    function check_aReworkVoidsOlderPasses(uint40 expiresAt) external {
        _certify(true, _model, expiresAt);
        vm.warp(START + _number("reworked", 30));
        vm.prank(_maker.key);
        ledger.reworkLot(ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)));
        vm.warp(block.timestamp + _number("offered", 30));
        assert(!_reachesTheBuyer(_lot));
    }
}
