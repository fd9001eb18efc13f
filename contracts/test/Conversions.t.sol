// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {TransformationFixture} from "./TransformationFixture.sol";

/// @notice Components, outputs of several units, and stated yields.
contract ConversionsTest is TransformationFixture {
    // ---- components, several units, yields ----

    function test_D1_assemblyOfPieces() public check {
        bytes32 motor = _receive(maker, "motor", 1);
        bytes32 housing = _receive(maker, "housing", 1);
        ILots.Transformation memory change =
            _change(CONVERSION, 0, _ascending(_input(motor, 1), _input(housing, 1)), _outputs("pump", 1));
        _refuseChange(maker, change, _unbalanced(2, 0, 1, 1, 1));
        (change.yieldIn, change.yieldOut) = (2, 1);
        _transform(maker, change);
        _assertLot(motor, ILots.LotState.Spent, maker);
        assertEq(ledger.lotOf(_lotName(maker, "pump")).quantity, 1);
    }

    function test_D1_assemblyWithAComponent() public check {
        bytes32 shaft = _receive(maker, "shaft", 1);
        bytes32 bearing = _receive(maker, "bearing", 10);
        ILots.Transformation memory change =
            _change(CONVERSION, 0, _ascending(_input(shaft, 1), _component(bearing, 2)), _outputs("part", 1));
        _transform(maker, change);
        assertEq(ledger.lotOf(bearing).quantity, 8);
        assertEq(ledger.lotOf(_lotName(maker, "part")).quantity, 1);
    }

    function test_D1_disassemblyOfAPiece() public check {
        bytes32 pump = _receive(maker, "pump", 1);
        ILots.Transformation memory change =
            _change(CONVERSION, 0, _inputs(pump, 1), _outputs("motor", 1, "housing", 1));
        (change.yieldIn, change.yieldOut) = (1, 2);
        _transform(maker, change);
        assertEq(ledger.lotOf(_lotName(maker, "housing")).quantity, 1);
    }

    /// @dev By conversions a kilogram can become any number of kilograms, as the audit found: but only by a yield that the
    /// record states, and never in a split or merge.
    function test_D2_quantityOutOfUnits() public check {
        _as(maker);
        bytes32 kilogram = ledger.receiveLot(_hash("kilogram"), 1, KGM, ROOT);
        ILots.Transformation memory change = _change(CONVERSION, 0, _inputs(kilogram, 1), _outputs("more", 1_000_000));
        change.unit = KGM;
        _measure(change, KGM);
        _refuseChange(maker, change, _unbalanced(1, 0, 1_000_000, 1, 1));
        change.yieldOut = 1_000_000;
        _transform(maker, change);
    }

    /// @dev 12 kg of bar: 1 kg lost, 3 kg of chips kept as a lot, 4 parts of 2 kg each, and coolant as a by-product.
    function test_outputsOfSeveralUnits() public check {
        _as(maker);
        bytes32 bar = ledger.receiveLot(_hash("bar"), 12, KGM, ROOT);
        ILots.Transformation memory change = _change(CONVERSION, _order, _inputs(bar, 12), new ILots.Output[](3));
        change.outputs[0] = ILots.Output(_hash("part"), 4, PIECE, ROOT);
        change.outputs[1] = ILots.Output(_hash("chips"), 3, KGM, ROOT);
        change.outputs[2] = ILots.Output(_hash("coolant"), 20, "LTR", ROOT);
        (change.unit, change.loss, change.yieldIn, change.yieldOut) = (KGM, 1, 2, 1);
        change.outputs[1].quantity = 4;
        _refuseChange(maker, change, _unbalanced(12, 5, 4, 2, 1));
        change.outputs[1].quantity = 12;
        _refuseChange(maker, change, _unbalanced(12, 13, 4, 2, 1));
        change.outputs[1].quantity = 3;
        _transform(maker, change);
        assertEq(ledger.lotOf(_lotName(maker, "chips")).unit, KGM);
        assertEq(ledger.lotOf(_lotName(maker, "coolant")).quantity, 20);
    }

    function test_byProductsAloneAreNoConversion() public check {
        ILots.Transformation memory change = _change(CONVERSION, _order, _inputs(_lot, 10), _outputs("left", 10));
        change.outputUnit = KGM;
        _refuseChange(maker, change, _unbalanced(10, 10, 0, 1, 1));
    }

    function test_inputNamesItsOrder() public check {
        ILots.Transformation memory change = _splitOf(6, 4);
        change.inputs[0].order = 0;
        _refuseChange(maker, change, _orderWrong(_lot, 0, ledger.orderOf(_order).sequence));
        change.inputs[0].order = ROOT;
        _refuseChange(maker, change, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
    }
}
