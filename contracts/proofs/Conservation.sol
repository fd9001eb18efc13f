// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../src/interfaces/ILots.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {World} from "./World.sol";

/// @notice Nothing appears and nothing vanishes unsaid (DESIGN 4, "Lots"; the balance is that of ILots.Transformation).
contract ConservationProof is World {
    Party private _maker;

    function setUp() public override {
        super.setUp();
        _maker = _admit(Roles.MANUFACTURER);
    }

    /// @notice A split hands on, in its outputs and its stated loss, exactly what it takes out of the lot.
    /// @dev Bounds: one lot of any quantity, two outputs, any quantities and loss (40 bits each).
    function check_splitConserves(uint40 held, uint40 taken, uint40 first, uint40 second, uint40 loss) external {
        vm.assume(held != 0);
        ILots.Transformation memory change = _change(ILots.TransformationKind.Split, 1, 2);
        (change.loss, change.inputs[0]) = (loss, ILots.Input(_receive(_maker, "a", held), 0, taken, false));
        (change.outputs[0].quantity, change.outputs[1].quantity) = (first, second);
        _transform(change);
        assert(uint256(_left("a")) + taken == held);
        assert(uint256(_left("x")) + _left("y") + loss == taken);
    }

    /// @notice A merge does so, too.
    /// @dev Bounds: two lots of any quantities, one output, any quantities and loss (40 bits each).
    function check_mergeConserves(uint40[2] memory held, uint40[2] memory taken, uint40 made, uint40 loss) external {
        vm.assume(held[0] != 0 && held[1] != 0);
        ILots.Transformation memory change = _change(ILots.TransformationKind.Merge, 2, 1);
        change.loss = loss;
        _take(change, held, taken, false);
        change.outputs[0].quantity = made;
        _transform(change);
        assert(uint256(_left("a")) + taken[0] == held[0] && uint256(_left("b")) + taken[1] == held[1]);
        assert(uint256(_left("x")) + loss == uint256(taken[0]) + taken[1]);
    }

    /// @notice An assembly takes what it says out of both, balances its conserved input by the stated yield, and its
    /// component adds nothing to that.
    /// @dev Bounds: one conserved lot, one component, one output; any quantities and loss (40 bits); yields of 1 to 15.
    function check_assemblyConserves(uint40[2] memory held, uint40[2] memory taken, uint40 made, uint40 loss) external {
        vm.assume(held[0] != 0 && held[1] != 0);
        ILots.Transformation memory change = _change(ILots.TransformationKind.Conversion, 2, 1);
        (change.loss, change.yieldIn, change.yieldOut) = (loss, _number("yieldIn", 4), _number("yieldOut", 4));
        _take(change, held, taken, true);
        change.outputs[0].quantity = made;
        _transform(change);
        assert(uint256(_left("a")) + taken[0] == held[0] && uint256(_left("b")) + taken[1] == held[1]);
        assert(_left("x") == made && made != 0 && loss <= taken[0]);
        assert((uint256(taken[0]) - loss) * change.yieldOut == uint256(made) * change.yieldIn);
    }

    /// @notice Scrapping takes exactly what it says, and never more than there is.
    /// @dev Bounds: one lot, any quantities (40 bits), any disposition.
    function check_scrapConserves(uint40 held, uint40 taken, ILots.Disposition disposition) external {
        vm.assume(held != 0);
        bytes32 lot = _receive(_maker, "a", held);
        vm.prank(_maker.key);
        ledger.scrapLot(lot, taken, disposition, ROOT);
        assert(taken <= held && _left("a") == held - taken);
        assert((ledger.lotOf(lot).state == ILots.LotState.Spent) == (taken == held));
    }

    function _lot(bytes32 name) private view returns (bytes32) {
        return Subjects.derive(Subjects.Kind.Lot, _maker.id, name);
    }

    function _left(bytes32 name) private view returns (uint40) {
        return ledger.lotOf(_lot(name)).quantity;
    }

    function _transform(ILots.Transformation memory change) private {
        vm.prank(_maker.key);
        ledger.transformLots(change);
    }

    /// @dev From lot "a", and from lot "b", which is a component or not; in the order of their subjects.
    function _take(ILots.Transformation memory change, uint40[2] memory held, uint40[2] memory taken, bool component)
        private
    {
        (bytes32 a, bytes32 b) = (_receive(_maker, "a", held[0]), _receive(_maker, "b", held[1]));
        (uint256 first, uint256 second) = a < b ? (0, 1) : (1, 0);
        change.inputs[first] = ILots.Input(a, 0, taken[0], false);
        change.inputs[second] = ILots.Input(b, 0, taken[1], component);
    }

    /// @dev One to one, of lots of no order, into lots "x" and "y" of no order.
    function _change(ILots.TransformationKind kind, uint256 inputs, uint256 outputs)
        private
        pure
        returns (ILots.Transformation memory change)
    {
        (change.kind, change.unit, change.outputUnit, change.claimsRoot) = (kind, PIECE, PIECE, ROOT);
        (change.yieldIn, change.yieldOut) = (1, 1);
        (change.inputs, change.outputs) = (new ILots.Input[](inputs), new ILots.Output[](outputs));
        bytes32[2] memory names = [bytes32("x"), "y"];
        for (uint256 i; i < outputs; ++i) {
            change.outputs[i] = ILots.Output(names[i], 0, PIECE, ROOT);
        }
    }
}
