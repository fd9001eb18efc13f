// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {Fixture} from "./Fixture.sol";

contract TransformationsTest is Fixture {
    ILots.TransformationKind private constant SPLIT = ILots.TransformationKind.Split;
    ILots.TransformationKind private constant MERGE = ILots.TransformationKind.Merge;
    ILots.TransformationKind private constant CONVERSION = ILots.TransformationKind.Conversion;
    ILots.TransformationKind private constant REWORK = ILots.TransformationKind.Rework;

    bytes32 private _order;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _order = _startedOrder("order");
        _lot = _commission(_order, "lot", 10);
    }

    // ---- split and merge ----

    function test_split() public check {
        ILots.Transformation memory change = _splitOf(6, 4);
        bytes32 a = _lotName(maker, "a");
        bytes32 b = _lotName(maker, "b");
        uint40 next = _expectRecord();
        bytes32[] memory histories = new bytes32[](3);
        (histories[0], histories[1], histories[2]) = (_lot, a, b);
        emit ILots.LotsTransformed(next, maker.id, a, maker.key, histories, change);
        _transform(maker, change);
        _assertLot(_lot, ILots.LotState.Spent, maker);
        _assertLot(a, ILots.LotState.Held, maker);
        assertEq(ledger.lotOf(a).quantity, 6);
        assertEq(ledger.lotOf(b).quantity, 4);
        assertEq(ledger.lotOf(b).order, ledger.orderOf(_order).sequence);
        assertEq(ledger.lotOf(a).number, uint256(next) * 64);
        assertEq(ledger.lotOf(b).number, uint256(next) * 64 + 1);
    }

    function test_splitOfAPart() public check {
        ILots.Transformation memory change = _change(SPLIT, _order, _inputs(_lot, 5), _outputs("a", 2, "b", 2));
        change.loss = 1;
        _transform(maker, change);
        assertEq(ledger.lotOf(_lot).quantity, 5);
        _assertLot(_lot, ILots.LotState.Held, maker);
    }

    function test_merge() public check {
        ILots.Transformation memory change = _mergeOf(_order, _lot, _commission(_order, "other", 5), 15);
        _transform(maker, change);
        assertEq(ledger.lotOf(_lotName(maker, "out")).quantity, 15);
    }

    function test_anyHolderSplitsAndMerges() public check {
        _move(maker, _item(_lot, _order), carrier);
        _transform(carrier, _splitOf(6, 4));
        _assertLot(_lotName(carrier, "a"), ILots.LotState.Held, carrier);
        _transform(carrier, _mergeOf(_order, _lotName(carrier, "a"), _lotName(carrier, "b"), 10));
        _assertLot(_lotName(carrier, "out"), ILots.LotState.Held, carrier);
    }

    function test_splitStaysInTheOrder() public check {
        uint40 sequence = ledger.orderOf(_order).sequence;
        ILots.Transformation memory change = _splitOf(6, 4);
        change.order = 0;
        _refuseChange(maker, change, _bound(_lot));
        bytes32 other = _startedOrder("other");
        change.order = other;
        _refuseChange(maker, change, _orderWrong(_lot, other, sequence));
        bytes32 loose = _receive(maker, "loose", 10);
        change = _change(SPLIT, _order, _inputs(loose, 10), _outputs("a", 6, "b", 4));
        _refuseChange(maker, change, _orderWrong(loose, _order, 0));
        change = _mergeOf(_order, _lot, loose, 20);
        _refuseChange(maker, change, _orderWrong(loose, _order, 0));
        change.order = ROOT;
        _refuseChange(maker, change, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
    }

    function test_shapes() public check {
        ILots.Input[] memory none = new ILots.Input[](0);
        ILots.Output[] memory nothing = new ILots.Output[](0);
        ILots.Input[] memory two = new ILots.Input[](2);
        ILots.Output[] memory twice = _outputs("a", 5, "b", 5);
        _refuseShape(SPLIT, _inputs(_lot, 10), _outputs("a", 10));
        _refuseShape(SPLIT, two, twice);
        _refuseShape(SPLIT, none, twice);
        _refuseShape(MERGE, _inputs(_lot, 10), _outputs("a", 10));
        _refuseShape(MERGE, two, twice);
        _refuseShape(MERGE, two, nothing);
        _refuseShape(CONVERSION, none, twice);
        _refuseShape(CONVERSION, two, nothing);
        _refuseShape(REWORK, two, twice);
        two[0].component = true;
        _refuseShape(MERGE, two, _outputs("a", 10));
        two[1].component = true;
        _refuseShape(CONVERSION, two, twice);
        _refuseShape(REWORK, two, twice);
        ILots.Input[] memory component = _inputs(_lot, 10);
        component[0].component = true;
        _refuseShape(SPLIT, component, twice);
        _refuseShape(REWORK, none, twice);
        _refuseShape(REWORK, _inputs(_lot, 10), nothing);
    }

    function test_tooMany() public check {
        bytes memory reason = abi.encodeWithSelector(ILots.LotsTooMany.selector, 65, 64);
        ILots.Transformation memory change = _change(MERGE, _order, new ILots.Input[](65), _outputs("a", 1));
        _refuseChange(maker, change, reason);
        change = _change(SPLIT, _order, _inputs(_lot, 10), new ILots.Output[](65));
        _refuseChange(maker, change, reason);
    }

    function test_sixtyFourPieces() public check {
        bytes32 lot = _commission(_order, "many", 64);
        ILots.Output[] memory outputs = new ILots.Output[](64);
        for (uint256 i; i < 64; ++i) {
            outputs[i] = ILots.Output(keccak256(abi.encode(i)), 1, PIECE, ROOT);
        }
        _transform(maker, _change(SPLIT, _order, _inputs(lot, 64), outputs));
        uint40 next = ledger.sequence();
        assertEq(ledger.lotOf(_lotOf(63)).number, uint256(next) * 64 + 63, "below the next record's first lot");
        _receive(maker, "next", 1);
        assertEq(ledger.lotOf(_lotName(maker, "next")).number, uint256(next) * 64 + 64);
    }

    // ---- balance ----

    function test_unbalancedSplit() public check {
        _refuseChange(maker, _splitOf(6, 3), _unbalanced(10, 0, 9, 1, 1));
        _refuseChange(maker, _splitOf(6, 5), _unbalanced(10, 0, 11, 1, 1));
        ILots.Transformation memory change = _splitOf(6, 4);
        change.loss = 1;
        _refuseChange(maker, change, _unbalanced(10, 1, 10, 1, 1));
        change.loss = 11;
        _refuseChange(maker, change, _unbalanced(10, 11, 10, 1, 1));
        change = _splitOf(10, 10);
        (change.yieldIn, change.yieldOut) = (1, 2);
        _refuseChange(maker, change, _unbalanced(10, 0, 20, 1, 2));
        change = _splitOf(6, 4);
        (change.yieldIn, change.yieldOut) = (0, 0);
        _refuseChange(maker, change, _unbalanced(10, 0, 10, 0, 0));
        (change.yieldIn, change.yieldOut) = (1, 0);
        _refuseChange(maker, change, _unbalanced(10, 0, 10, 1, 0));
        (change.yieldIn, change.yieldOut) = (3, 3);
        _transform(maker, change);
    }

    function test_splitKeepsTheUnit() public check {
        ILots.Transformation memory change = _splitOf(6, 4);
        change.outputs[1].unit = KGM;
        _refuseChange(maker, change, _unitWrong(_lotName(maker, "b"), KGM));
        _measure(change, KGM);
        _refuseChange(maker, change, _unbalanced(10, 0, 10, 1, 1));
        change = _splitOf(6, 4);
        change.unit = KGM;
        _refuseChange(maker, change, _unitWrong(_lot, PIECE));
    }

    function test_overConsumption() public check {
        ILots.Transformation memory change = _change(SPLIT, _order, _inputs(_lot, 11), _outputs("a", 6, "b", 5));
        _refuseChange(maker, change, abi.encodeWithSelector(ILots.LotOverConsumed.selector, _lot, 10, 11));
        change = _change(SPLIT, _order, _inputs(_lot, 0), _outputs("a", 6, "b", 5));
        _refuseChange(maker, change, abi.encodeWithSelector(ILots.LotQuantityZero.selector));
        change = _splitOf(10, 0);
        _refuseChange(maker, change, abi.encodeWithSelector(ILots.LotQuantityZero.selector));
        change = _splitOf(6, 4);
        change.outputs[1].unit = 0;
        _refuseChange(maker, change, abi.encodeWithSelector(ILots.LotUnitMissing.selector));
    }

    function test_inputsAscend() public check {
        ILots.Transformation memory change = _mergeOf(_order, _lot, _commission(_order, "other", 10), 20);
        (change.inputs[0], change.inputs[1]) = (change.inputs[1], change.inputs[0]);
        bytes memory reason = abi.encodeWithSelector(ILots.LotsNotAscending.selector, change.inputs[1].lot);
        _refuseChange(maker, change, reason);
        change.inputs[0] = _input(_lot, 5);
        change.inputs[1] = _input(_lot, 5);
        _refuseChange(maker, change, abi.encodeWithSelector(ILots.LotsNotAscending.selector, _lot));
    }

    function test_takenNames() public check {
        ILots.Transformation memory change = _change(SPLIT, _order, _inputs(_lot, 10), _outputs("a", 5, "a", 5));
        _refuseChange(
            maker, change, abi.encodeWithSelector(IHistory.HistorySubjectTaken.selector, _lotName(maker, "a"))
        );
        change = _change(SPLIT, _order, _inputs(_lot, 10), _outputs("lot", 5, "a", 5));
        _refuseChange(maker, change, abi.encodeWithSelector(IHistory.HistorySubjectTaken.selector, _lot));
    }

    // ---- conversion ----

    /// @dev 12 kg of bar, 2 kg of it chips, at 5 kg for 2 pieces; 4 screws per piece are components.
    function test_conversionByYieldWithComponents() public check {
        _as(maker);
        bytes32 bar = ledger.receiveLot(_hash("bar"), 20, KGM, ROOT);
        bytes32 screws = _receive(maker, "screws", 100);
        ILots.Input[] memory inputs = _ascending(_input(bar, 12), _component(screws, 16));
        ILots.Transformation memory change = _change(CONVERSION, _order, inputs, _outputs("part", 4));
        (change.unit, change.loss, change.yieldIn, change.yieldOut) = (KGM, 2, 5, 2);
        _transform(maker, change);
        assertEq(ledger.lotOf(bar).quantity, 8);
        assertEq(ledger.lotOf(screws).quantity, 84);
        bytes32 part = _lotName(maker, "part");
        assertEq(ledger.lotOf(part).quantity, 4);
        assertEq(ledger.lotOf(part).order, ledger.orderOf(_order).sequence);
    }

    function test_conversionWithoutItsUnit() public check {
        ILots.Transformation memory change = _change(CONVERSION, _order, _inputs(_lot, 10), _outputs("part", 4));
        change.unit = KGM;
        _refuseChange(maker, change, _unitWrong(_lot, PIECE));
    }

    function test_conversionOfLooseLotsNeedsNoOrder() public check {
        bytes32 loose = _receive(maker, "loose", 10);
        _transform(maker, _change(CONVERSION, 0, _inputs(loose, 10), _outputs("part", 10)));
        assertEq(ledger.lotOf(_lotName(maker, "part")).order, 0);
    }

    function test_conversionNeedsAStartedAssignment() public check {
        ILots.Transformation memory change = _change(CONVERSION, _order, _inputs(_lot, 10), _outputs("part", 10));
        change.operation = 7;
        _refuseChange(
            maker, change, abi.encodeWithSelector(IAssignments.AssignmentNotCurrent.selector, _order, 7, 0, 0)
        );
        change.operation = 0;
        _refuseChange(
            maker2, change, abi.encodeWithSelector(IAssignments.AssignmentForeign.selector, _order, 0, maker.id)
        );
        _finish(_order, 0);
        _refuseChange(maker, change, _assignmentState(IAssignments.AssignmentState.Finished));
    }

    function test_makingNeedsAManufacturer() public check {
        _move(maker, _item(_lot, _order), carrier);
        ILots.Transformation memory change = _change(CONVERSION, _order, _inputs(_lot, 10), _outputs("part", 10));
        bytes memory reason = _roleMissing(carrier, Roles.CARRIER, Roles.MANUFACTURER);
        _refuseChange(carrier, change, reason);
        change.kind = REWORK;
        _refuseChange(carrier, change, reason);
        change = _splitOf(6, 4);
        _refuseChange(auditor, change, _roleMissing(auditor, Roles.AUDITOR, Roles.HOLDER));
    }

    function test_conversionMovesALotOfAnUngatedOrderIntoAnotherOrder() public check {
        bytes32 ungated = _acceptedOrder("ungated", _ungated(1));
        _start(ungated, 0);
        bytes32 lot = _commission(ungated, "free", 10);
        _transform(maker, _change(CONVERSION, _order, _inputs(lot, 10), _outputs("part", 10)));
        assertEq(ledger.lotOf(_lotName(maker, "part")).order, ledger.orderOf(_order).sequence);
    }

    function test_conversionNeverFreesALotOfItsOrder() public check {
        ILots.Transformation memory change = _change(CONVERSION, 0, _inputs(_lot, 10), _outputs("part", 10));
        _refuseChange(maker, change, _bound(_lot));
    }

    // ---- rework ----

    function test_reworkCarriesTheQuarantine() public check {
        _fail(_lot, _order);
        ILots.Transformation memory change = _change(REWORK, _order, _inputs(_lot, 4), _outputs("again", 4));
        _transform(maker, change);
        bytes32 again = _lotName(maker, "again");
        _assertLot(again, ILots.LotState.Quarantined, maker);
        assertEq(ledger.lotOf(again).counterparty, inspector.id);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        assertEq(ledger.lotOf(_lot).quantity, 6);
        _refuse(maker, abi.encodeWithSelector(ILots.LotQuarantineForeign.selector, again, inspector.id));
        ledger.releaseLot(again, ROOT);
        _pass(again, _order);
        _assertLot(again, ILots.LotState.Held, maker);
    }

    function test_reworkOfAHeldLot() public check {
        _transform(maker, _change(REWORK, _order, _inputs(_lot, 10), _outputs("a", 5, "b", 5)));
        _assertLot(_lotName(maker, "b"), ILots.LotState.Held, maker);
    }

    function test_reworkStaysInItsOrder() public check {
        bytes32 other = _startedOrder("other");
        ILots.Transformation memory change = _change(REWORK, other, _inputs(_lot, 10), _outputs("again", 10));
        _refuseChange(maker, change, _orderWrong(_lot, other, ledger.orderOf(_order).sequence));
        change.order = 0;
        _refuseChange(maker, change, _bound(_lot));
        bytes32 loose = _receive(maker, "loose", 10);
        change = _change(REWORK, _order, _inputs(loose, 10), _outputs("again", 10));
        _refuseChange(maker, change, _orderWrong(loose, _order, 0));
        change.order = 0;
        _transform(maker, change);
    }

    function test_reworkKeepsTheUnit() public check {
        ILots.Transformation memory change = _change(REWORK, _order, _inputs(_lot, 10), _outputs("again", 10));
        _measure(change, KGM);
        _refuseChange(maker, change, _unbalanced(10, 0, 10, 1, 1));
    }

    function test_quarantinedLotIsNotTransformedOtherwise() public check {
        _quarantine(maker, _lot, _order);
        bytes memory reason = _lotState(_lot, ILots.LotState.Quarantined);
        _refuseChange(maker, _splitOf(6, 4), reason);
        _refuseChange(maker, _change(CONVERSION, _order, _inputs(_lot, 10), _outputs("part", 10)), reason);
        _refuseChange(maker, _mergeOf(_order, _lot, _commission(_order, "other", 10), 20), reason);
    }

    function test_makingNeedsAnAssignedOperation() public check {
        ILots.Transformation memory change = _change(REWORK, ROOT, _inputs(_lot, 10), _outputs("again", 10));
        _refuseChange(maker, change, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
        (change.order, change.operation) = (_order, 1);
        bytes memory reason = abi.encodeWithSelector(IAssignments.AssignmentNotCurrent.selector, _order, 1, 0, 0);
        _refuseChange(maker, change, reason);
        change.kind = CONVERSION;
        _refuseChange(maker, change, reason);
        change.order = ROOT;
        _refuseChange(maker, change, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
    }

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
    /// record states, and never in a split, merge or rework.
    function test_D2_quantityOutOfUnits() public check {
        _as(maker);
        bytes32 kilogram = ledger.receiveLot(_hash("kilogram"), 1, KGM, ROOT);
        ILots.Transformation memory change =
            _change(CONVERSION, 0, _inputs(kilogram, 1), _outputs("more", 1_000_000));
        change.unit = KGM;
        _measure(change, KGM);
        _refuseChange(maker, change, _unbalanced(1, 0, 1_000_000, 1, 1));
        change.kind = REWORK;
        change.yieldOut = 1_000_000;
        _refuseChange(maker, change, _unbalanced(1, 0, 1_000_000, 1, 1_000_000));
        change.kind = CONVERSION;
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

    function test_reworkWithComponents() public check {
        _fail(_lot, _order);
        bytes32 bolts = _receive(maker, "bolts", 5);
        ILots.Transformation memory change =
            _change(REWORK, _order, _ascending(_input(_lot, 10), _component(bolts, 2)), _outputs("again", 10));
        _transform(maker, change);
        _assertLot(_lotName(maker, "again"), ILots.LotState.Quarantined, maker);
        assertEq(ledger.lotOf(bolts).quantity, 3);
        _quarantine(maker, bolts, 0);
        change = _change(
            REWORK, _order, _ascending(_input(_lotName(maker, "again"), 10), _component(bolts, 2)), _outputs("last", 10)
        );
        _refuseChange(maker, change, _lotState(bolts, ILots.LotState.Quarantined));
    }

    function test_inputNamesItsOrder() public check {
        ILots.Transformation memory change = _splitOf(6, 4);
        change.inputs[0].order = 0;
        _refuseChange(maker, change, _orderWrong(_lot, 0, ledger.orderOf(_order).sequence));
        change.inputs[0].order = ROOT;
        _refuseChange(maker, change, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
    }

    // ---- the gate goes with the goods ----

    /// @dev The maker is buyer and coordinator of a second order, and hands over under that one what never passed.
    function test_C3_gatedLotIsNotConvertedIntoTheMakersOwnOrder() public check {
        _setRoles(maker, Roles.MANUFACTURER | Roles.BUYER | Roles.COORDINATOR);
        _as(maker);
        bytes32 own = ledger.placeOrder(_hash("own"), maker.id, _ungated(1));
        vm.startPrank(maker.key);
        ledger.acceptOrder(own, ROOT);
        uint40 assignment = ledger.proposeAssignment(own, 0, machine, ROOT);
        ledger.acceptAssignment(own, 0, assignment, ROOT);
        ledger.startAssignment(own, 0, assignment, ROOT);
        vm.stopPrank();
        _refuseChange(maker, _change(CONVERSION, own, _inputs(_lot, 10), _outputs("part", 10)), _bound(_lot));
        bytes32 bare = _receive(maker, "bare", 1);
        ILots.Input[] memory inputs = _ascending(_component(_lot, 1), _input(bare, 1));
        _refuseChange(maker, _change(CONVERSION, own, inputs, _outputs("part", 1)), _bound(_lot));
    }

    function test_C3b_gatedLotIsNotConvertedIntoAnUngatedOrderOfItsBuyer() public check {
        bytes32 ungated = _acceptedOrder("ungated", _ungated(1));
        _start(ungated, 0);
        ILots.Transformation memory change = _change(CONVERSION, ungated, _inputs(_lot, 10), _outputs("part", 10));
        _refuseChange(maker, change, _bound(_lot));
        change.kind = REWORK;
        _refuseChange(maker, change, _orderWrong(_lot, ungated, ledger.orderOf(_order).sequence));
        _as(buyer);
        ledger.deallocateLot(_lot, _order, ROOT);
        (change.kind, change.inputs) = (CONVERSION, _inputs(_lot, 10));
        _transform(maker, change);
        assertEq(ledger.lotOf(_lotName(maker, "part")).order, ledger.orderOf(ungated).sequence);
    }

    /// @dev A buyer that is a maker for others uses what it bought, under their order.
    function test_buyerConvertsWhatItBoughtIntoAnotherOrder() public check {
        _setRoles(buyer, Roles.BUYER | Roles.MANUFACTURER);
        uint40 press = _registerMachine(buyer, "press");
        bytes32 other = _acceptedOrder("other", _terms(1));
        _as(coordinator);
        uint40 assignment = ledger.proposeAssignment(other, 0, press, ROOT);
        vm.startPrank(buyer.key);
        ledger.acceptAssignment(other, 0, assignment, ROOT);
        ledger.startAssignment(other, 0, assignment, ROOT);
        vm.stopPrank();
        _pass(_lot, _order);
        _move(maker, _item(_lot, _order), buyer);
        _transform(buyer, _change(CONVERSION, other, _inputs(_lot, 10), _outputs("part", 10)));
        assertEq(ledger.lotOf(_lotName(buyer, "part")).order, ledger.orderOf(other).sequence);
    }

    // ---- stock and orders ----

    function test_D4_buyerUsesADeliveredLot() public check {
        _pass(_lot, _order);
        _move(maker, _item(_lot, _order), buyer);
        _finish(_order, 0);
        _complete(_order);
        _as(buyer);
        ledger.confirmDelivery(_order, ROOT);
        ILots.Transformation memory change = _change(SPLIT, 0, _inputs(_lot, 4), _outputs("a", 1, "b", 3));
        _transform(buyer, change);
        assertEq(ledger.lotOf(_lotName(buyer, "b")).order, 0);
        _setRoles(buyer, Roles.BUYER | Roles.MANUFACTURER);
        _transform(buyer, _change(CONVERSION, 0, _inputs(_lot, 6), _outputs("shelf", 6)));
        assertEq(ledger.lotOf(_lotName(buyer, "shelf")).order, 0);
    }

    function test_D4_surplusGoesToStockByTheBuyer() public check {
        bytes memory reason = abi.encodeWithSelector(ILots.LotBoundToOrder.selector, _lot, _order, buyer.id);
        _refuse(coordinator, reason);
        ledger.deallocateLot(_lot, _order, ROOT);
        uint40 next = _expectRecord();
        emit ILots.LotDeallocated(next, buyer.id, _lot, buyer.key, _one(_lot), _order, ROOT);
        _as(buyer);
        ledger.deallocateLot(_lot, _order, ROOT);
        assertEq(ledger.lotOf(_lot).order, 0);
        _refuse(buyer, _orderWrong(_lot, _order, 0));
        ledger.deallocateLot(_lot, _order, ROOT);
        _refuse(buyer, abi.encodeWithSelector(IOrders.OrderUnknown.selector, 0));
        ledger.deallocateLot(_lot, 0, ROOT);
    }

    function test_D4_surplusOfAnUngatedOrderByItsCoordinator() public check {
        bytes32 ungated = _acceptedOrder("ungated", _ungated(1));
        _start(ungated, 0);
        bytes32 lot = _commission(ungated, "surplus", 3);
        _as(coordinator);
        ledger.deallocateLot(lot, ungated, ROOT);
        _transform(maker, _change(CONVERSION, 0, _inputs(lot, 3), _outputs("part", 3)));
        _refuse(maker, _roleMissing(maker, Roles.MANUFACTURER, Roles.BUYER | Roles.COORDINATOR));
        ledger.deallocateLot(_lot, _order, ROOT);
    }

    function test_D4_failedSurplusIsReworkedInStock() public check {
        _fail(_lot, _order);
        _as(buyer);
        ledger.deallocateLot(_lot, _order, ROOT);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        _transform(maker, _change(REWORK, 0, _inputs(_lot, 10), _outputs("again", 10)));
        _assertLot(_lotName(maker, "again"), ILots.LotState.Quarantined, maker);
    }

    function test_deallocatedLotIsFree() public check {
        _offer(maker, _item(_lot, _order), carrier);
        _refuse(buyer, _lotState(_lot, ILots.LotState.Offered));
        ledger.deallocateLot(_lot, _order, ROOT);
        _as(maker);
        ledger.withdrawCustody(_lot, ROOT);
        bytes32 pallet = _receive(maker, "pallet", 1);
        _pack(maker, pallet, _one(_lot));
        _refuse(buyer, abi.encodeWithSelector(ILots.LotPacked.selector, _lot, ledger.lotOf(pallet).number));
        ledger.deallocateLot(_lot, _order, ROOT);
    }

    function test_D4_stockIsAllocatedToAnOrder() public check {
        bytes32 stock = _receive(maker, "stock", 3);
        uint40 assignment = ledger.assignmentOf(_order, 0).sequence;
        uint40 next = _expectRecord();
        emit ILots.LotAllocated(next, maker.id, stock, maker.key, _one(stock), _order, assignment, ROOT);
        _as(maker);
        ledger.allocateLot(stock, _order, 0, ROOT);
        assertEq(ledger.lotOf(stock).order, ledger.orderOf(_order).sequence);
        _refuse(maker, _gateClosed(stock));
        ledger.offerCustody(_item(stock, _order), buyer.id, ROOT);
        _pass(stock, _order);
        _move(maker, _item(stock, _order), buyer);
    }

    function test_allocationNeedsBothSides() public check {
        bytes32 stock = _receive(maker, "stock", 3);
        bytes32 others = _receive(maker2, "others", 3);
        _refuse(maker, _orderWrong(_lot, 0, ledger.orderOf(_order).sequence));
        ledger.allocateLot(_lot, _order, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(ILots.LotForeign.selector, others, maker2.id));
        ledger.allocateLot(others, _order, 0, ROOT);
        _refuse(maker2, abi.encodeWithSelector(IAssignments.AssignmentForeign.selector, _order, 0, maker.id));
        ledger.allocateLot(others, _order, 0, ROOT);
        _refuse(maker, abi.encodeWithSelector(IOrders.OrderUnknown.selector, 0));
        ledger.allocateLot(stock, 0, 0, ROOT);
        _quarantine(maker, stock, 0);
        _refuse(maker, _lotState(stock, ILots.LotState.Quarantined));
        ledger.allocateLot(stock, _order, 0, ROOT);
        _as(maker);
        ledger.releaseLot(stock, ROOT);
        _finish(_order, 0);
        _refuse(maker, _assignmentState(IAssignments.AssignmentState.Finished));
        ledger.allocateLot(stock, _order, 0, ROOT);
    }

    // ---- rework that keeps the identifier ----

    function test_reworkInPlaceVoidsThePass() public check {
        uint40 certificate = _pass(_lot, _order);
        bytes32 bolts = _receive(maker, "bolts", 5);
        ILots.Rework memory change = ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](1));
        change.components[0] = _component(bolts, 2);
        uint40 assignment = ledger.assignmentOf(_order, 0).sequence;
        uint40 next = _expectRecord();
        emit ILots.LotReworked(next, maker.id, _lot, maker.key, _two(_lot, bolts), change, assignment, certificate);
        _as(maker);
        ledger.reworkLot(change);
        assertEq(ledger.lotOf(bolts).quantity, 3);
        assertEq(ledger.lotOf(_lot).quantity, 10);
        _assertStatus(_lot, ICertificates.CertificateStatus.Voided);
        vm.prank(maker.key);
        vm.expectPartialRevert(ICustody.GateClosed.selector);
        ledger.offerCustody(_item(_lot, _order), buyer.id, ROOT);
        _refuse(
            inspector,
            abi.encodeWithSelector(
                ICertificates.CertificateStateWrong.selector, _lot, certificate, ICertificates.CertificateState.Voided
            )
        );
        ledger.revokeCertificate(_lot, certificate, ROOT);
        _reworkAs(maker, ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)), 0);
        _pass(_lot, _order);
        _move(maker, _item(_lot, _order), buyer);
    }

    function test_reworkInPlaceKeepsTheFailAndTheQuarantine() public check {
        _fail(_lot, _order);
        _reworkAs(maker, ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)), 0);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        uint40 certificate = _pass(_lot, _order);
        _as(inspector);
        ledger.revokeCertificate(_lot, certificate, ROOT);
        _reworkAs(maker, ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)), 0);
        certificate = _pass(_lot, _order);
        _as(buyer);
        ledger.demandOpening(_lot, _order, certificate);
        _reworkAs(maker, ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)), certificate);
    }

    function test_reworkInPlaceOfALooseLot() public check {
        bytes32 loose = _receive(maker, "loose", 1);
        ILots.Rework memory change = ILots.Rework(loose, 0, 0, ROOT, new ILots.Input[](1));
        change.components[0] = _component(_lot, 1);
        _refuseRework(maker, change, _bound(_lot));
        change.components = new ILots.Input[](0);
        _reworkAs(maker, change, 0);
    }

    function test_reworkInPlaceRefused() public check {
        ILots.Rework memory change = ILots.Rework(_lot, _order, 0, ROOT, _inputs(_lot, 1));
        _refuseRework(maker2, change, abi.encodeWithSelector(ILots.LotForeign.selector, _lot, maker.id));
        bytes memory reason = abi.encodeWithSelector(ILots.LotsNotAscending.selector, _lot);
        _refuseRework(maker, change, reason);
        bytes32 bolts = _receive(maker, "bolts", 5);
        change.components[0] = _input(bolts, 1);
        reason = abi.encodeWithSelector(ILots.TransformationShapeWrong.selector, REWORK, 2, 1);
        _refuseRework(maker, change, reason);
        change.components = new ILots.Input[](2);
        (change.components[0], change.components[1]) = (_component(bolts, 1), _component(bolts, 1));
        _refuseRework(maker, change, abi.encodeWithSelector(ILots.LotsNotAscending.selector, bolts));
        change.components = new ILots.Input[](65);
        _refuseRework(maker, change, abi.encodeWithSelector(ILots.LotsTooMany.selector, 65, 64));
        change.components = new ILots.Input[](0);
        change.operation = 1;
        _refuseRework(
            maker, change, abi.encodeWithSelector(IAssignments.AssignmentNotCurrent.selector, _order, 1, 0, 0)
        );
        change.order = 0;
        _refuseRework(maker, change, _orderWrong(_lot, 0, ledger.orderOf(_order).sequence));
        _offer(maker, _item(_lot, _order), carrier);
        _refuseRework(maker, change, _lotState(_lot, ILots.LotState.Offered));
        bytes32 box = _receive(maker, "box", 1);
        _pack(maker, box, _one(bolts));
        change = ILots.Rework(box, 0, 0, ROOT, new ILots.Input[](0));
        _refuseRework(maker, change, abi.encodeWithSelector(ILots.LotNotEmpty.selector, box, 1));
    }

    // ---- inputs ----

    function test_inputsMustBeFree() public check {
        _offer(maker, _item(_lot, _order), carrier);
        ILots.Transformation memory rework = _change(REWORK, _order, _inputs(_lot, 10), _outputs("again", 10));
        _refuseChange(maker, rework, _lotState(_lot, ILots.LotState.Offered));
        _refuseChange(carrier, _splitOf(6, 4), abi.encodeWithSelector(ILots.LotForeign.selector, _lot, maker.id));
        _as(maker);
        ledger.withdrawCustody(_lot, ROOT);
        bytes32 pallet = _receive(maker, "pallet", 1);
        _pack(maker, pallet, _one(_lot));
        uint40 number = ledger.lotOf(pallet).number;
        _refuseChange(maker, _splitOf(6, 4), abi.encodeWithSelector(ILots.LotPacked.selector, _lot, number));
        ILots.Transformation memory change = _change(CONVERSION, 0, _inputs(pallet, 1), _outputs("part", 1));
        _refuseChange(maker, change, abi.encodeWithSelector(ILots.LotNotEmpty.selector, pallet, 1));
        change.inputs[0].lot = ROOT;
        _refuseChange(maker, change, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
    }

    function test_outputsInheritNoCertificate() public check {
        _pass(_lot, _order);
        _transform(maker, _splitOf(6, 4));
        bytes32 a = _lotName(maker, "a");
        assertEq(ledger.certificateOf(a).sequence, 0);
        _assertStatus(a, ICertificates.CertificateStatus.None);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        _refuse(maker, _gateClosed(a));
        ledger.offerCustody(_item(a, _order), buyer.id, ROOT);
        _transform(maker, _change(REWORK, _order, _inputs(a, 6), _outputs("again", 6)));
        assertEq(ledger.certificateOf(_lotName(maker, "again")).sequence, 0);
    }

    // ---- arithmetic ----

    /// @dev Exactly what balances is accepted.
    function testFuzz_splitBalance(uint40 quantity, uint40 taken, uint40 first, uint40 second, uint40 loss)
        public
        check
    {
        quantity = uint40(bound(quantity, 1, 1e12));
        taken = uint40(bound(taken, 1, quantity));
        first = uint40(bound(first, 1, 1e11));
        if (taken > first) second = uint40(bound(second, 1, uint256(taken - first) + 1));
        second = uint40(bound(second, 1, 1e11));
        if (loss % 2 == 0 && uint256(first) + second <= taken) loss = taken - first - second;
        bytes32 lot = _commission(_order, "fuzz", quantity);
        ILots.Transformation memory change =
            _change(SPLIT, _order, _inputs(lot, taken), _outputs("a", first, "b", second));
        change.loss = loss;
        bool balanced = uint256(taken) == uint256(first) + second + loss;
        if (!balanced) {
            _refuseChange(maker, change, _unbalanced(taken, loss, uint256(first) + second, 1, 1));
            return;
        }
        _transform(maker, change);
        assertEq(ledger.lotOf(lot).quantity, quantity - taken);
    }

    /// @dev (I - loss) * yieldOut == O * yieldIn, at any size, and nothing overflows.
    function testFuzz_conversionBalance(uint40 input, uint40 loss, uint40 output, uint40 yieldIn, uint40 yieldOut)
        public
        check
    {
        input = uint40(bound(input, 1, type(uint40).max));
        output = uint40(bound(output, 1, type(uint40).max));
        _convert(input, loss, output, yieldIn, yieldOut);
    }

    /// @dev A multiple of the yield always balances.
    function testFuzz_conversionByTheYield(uint40 times, uint40 loss, uint40 yieldIn, uint40 yieldOut) public check {
        times = uint40(bound(times, 1, 1000));
        yieldIn = uint40(bound(yieldIn, 1, 1e8));
        yieldOut = uint40(bound(yieldOut, 1, 1e8));
        loss = uint40(bound(loss, 0, 1e11));
        _convert(times * yieldIn + loss, loss, times * yieldOut, yieldIn, yieldOut);
        assertEq(ledger.lotOf(_lotName(maker, "part")).quantity, times * yieldOut);
    }

    // ---- inside ----

    function _convert(uint40 input, uint40 loss, uint40 output, uint40 yieldIn, uint40 yieldOut) private {
        _as(maker);
        bytes32 bar = ledger.receiveLot(_hash("bar"), input, KGM, ROOT);
        ILots.Transformation memory change = _change(CONVERSION, _order, _inputs(bar, input), _outputs("part", output));
        (change.unit, change.loss, change.yieldIn, change.yieldOut) = (KGM, loss, yieldIn, yieldOut);
        bool balanced = yieldIn != 0 && yieldOut != 0 && loss <= input
            && (uint256(input) - loss) * yieldOut == uint256(output) * yieldIn;
        if (balanced) _transform(maker, change);
        else _refuseChange(maker, change, _unbalanced(input, loss, output, yieldIn, yieldOut));
    }

    function _splitOf(uint40 first, uint40 second) private view returns (ILots.Transformation memory) {
        return _change(SPLIT, _order, _inputs(_lot, 10), _outputs("a", first, "b", second));
    }

    function _mergeOf(bytes32 order, bytes32 left, bytes32 right, uint40 quantity)
        private
        view
        returns (ILots.Transformation memory)
    {
        bytes32[] memory lots = _sorted(left, right);
        ILots.Input[] memory inputs = new ILots.Input[](2);
        inputs[0] = _input(lots[0], ledger.lotOf(lots[0]).quantity);
        inputs[1] = _input(lots[1], ledger.lotOf(lots[1]).quantity);
        return _change(MERGE, order, inputs, _outputs("out", quantity));
    }

    function _lotOf(uint256 i) private view returns (bytes32) {
        return Subjects.derive(Subjects.Kind.Lot, maker.id, keccak256(abi.encode(i)));
    }

    function _refuseChange(Party storage party, ILots.Transformation memory change, bytes memory reason) private {
        _refuse(party, reason);
        ledger.transformLots(change);
    }

    /// @dev Reworks a lot without components, and expects that certificate to be voided.
    function _reworkAs(Party storage party, ILots.Rework memory change, uint40 voided) private {
        uint40 assignment = change.order == 0 ? 0 : ledger.assignmentOf(change.order, 0).sequence;
        uint40 next = _expectRecord();
        emit ILots.LotReworked(next, party.id, change.lot, party.key, _one(change.lot), change, assignment, voided);
        _as(party);
        ledger.reworkLot(change);
    }

    function _refuseRework(Party storage party, ILots.Rework memory change, bytes memory reason) private {
        _refuse(party, reason);
        ledger.reworkLot(change);
    }

    function _refuseShape(ILots.TransformationKind kind, ILots.Input[] memory inputs, ILots.Output[] memory outputs)
        private
    {
        bytes memory reason =
            abi.encodeWithSelector(ILots.TransformationShapeWrong.selector, kind, _conserved(inputs), outputs.length);
        _refuseChange(maker, _change(kind, _order, inputs, outputs), reason);
    }

    function _conserved(ILots.Input[] memory inputs) private pure returns (uint256 conserved) {
        for (uint256 i; i < inputs.length; ++i) {
            if (!inputs[i].component) ++conserved;
        }
    }

    /// @dev Sets the unit of all outputs.
    function _measure(ILots.Transformation memory change, bytes3 unit) private pure {
        change.outputUnit = unit;
        for (uint256 i; i < change.outputs.length; ++i) {
            change.outputs[i].unit = unit;
        }
    }

    function _unitWrong(bytes32 lot, bytes3 unit) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ILots.TransformationUnitWrong.selector, lot, unit);
    }

    function _bound(bytes32 lot) private view returns (bytes memory) {
        return abi.encodeWithSelector(ILots.LotBoundToOrder.selector, lot, _order, buyer.id);
    }

    function _unbalanced(uint256 input, uint256 loss, uint256 output, uint40 yieldIn, uint40 yieldOut)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ILots.TransformationUnbalanced.selector, input, loss, output, yieldIn, yieldOut);
    }

    function _orderWrong(bytes32 lot, bytes32 given, uint40 sequence) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ILots.LotOrderWrong.selector, lot, given, sequence);
    }

    function _lotState(bytes32 lot, ILots.LotState state) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, state);
    }

    function _assignmentState(IAssignments.AssignmentState state) private view returns (bytes memory) {
        return abi.encodeWithSelector(IAssignments.AssignmentStateWrong.selector, _order, 0, state);
    }

    function _gateClosed(bytes32 lot) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            ICustody.GateClosed.selector,
            lot,
            inspector.id,
            model,
            ICertificates.CertificateStatus.None,
            ICertificates.Verdict.None,
            0,
            0
        );
    }
}
