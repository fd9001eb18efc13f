// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {TransformationFixture} from "./TransformationFixture.sol";

/// @notice Split, merge, conversion of one unit into another, and rework into a new lot.
contract TransformationsTest is TransformationFixture {
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
        two[0].component = true;
        _refuseShape(MERGE, two, _outputs("a", 10));
        two[1].component = true;
        _refuseShape(CONVERSION, two, twice);
        ILots.Input[] memory component = _inputs(_lot, 10);
        component[0].component = true;
        _refuseShape(SPLIT, component, twice);
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

    function test_quarantinedLotIsNotTransformed() public check {
        _quarantine(maker, _lot, _order);
        bytes memory reason = _lotState(_lot, ILots.LotState.Quarantined);
        _refuseChange(maker, _splitOf(6, 4), reason);
        _refuseChange(maker, _change(CONVERSION, _order, _inputs(_lot, 10), _outputs("part", 10)), reason);
        _refuseChange(maker, _mergeOf(_order, _lot, _commission(_order, "other", 10), 20), reason);
    }

    function test_makingNeedsAnAssignedOperation() public check {
        ILots.Transformation memory change = _change(CONVERSION, ROOT, _inputs(_lot, 10), _outputs("part", 10));
        _refuseChange(maker, change, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
        (change.order, change.operation) = (_order, 1);
        bytes memory reason = abi.encodeWithSelector(IAssignments.AssignmentNotCurrent.selector, _order, 1, 0, 0);
        _refuseChange(maker, change, reason);
    }

    // ---- inputs ----

    function test_inputsMustBeFree() public check {
        _offer(maker, _item(_lot, _order), carrier);
        ILots.Transformation memory part = _change(CONVERSION, _order, _inputs(_lot, 10), _outputs("part", 10));
        _refuseChange(maker, part, _lotState(_lot, ILots.LotState.Offered));
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

    /// @dev A split makes nothing new, a conversion does.
    function test_onlySplitsHandCertificatesOn() public check {
        _transform(maker, _splitOf(6, 4));
        bytes32 a = _lotName(maker, "a");
        assertEq(_latest(a), 0);
        _refuse(maker, _gateClosed(a));
        ledger.offerCustody(_item(a, _order), buyer.id, ROOT);
        _pass(a, _order);
        _transform(maker, _change(CONVERSION, _order, _inputs(a, 6), _outputs("part", 6)));
        assertEq(_latest(_lotName(maker, "part")), 0);
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

    function _convert(uint40 input, uint40 loss, uint40 output, uint40 yieldIn, uint40 yieldOut) internal {
        _as(maker);
        bytes32 bar = ledger.receiveLot(_hash("bar"), input, KGM, ROOT);
        ILots.Transformation memory change = _change(CONVERSION, _order, _inputs(bar, input), _outputs("part", output));
        (change.unit, change.loss, change.yieldIn, change.yieldOut) = (KGM, loss, yieldIn, yieldOut);
        bool balanced = yieldIn != 0 && yieldOut != 0 && loss <= input
            && (uint256(input) - loss) * yieldOut == uint256(output) * yieldIn;
        if (balanced) _transform(maker, change);
        else _refuseChange(maker, change, _unbalanced(input, loss, output, yieldIn, yieldOut));
    }

    function _lotOf(uint256 i) internal view returns (bytes32) {
        return Subjects.derive(Subjects.Kind.Lot, maker.id, keccak256(abi.encode(i)));
    }
}
