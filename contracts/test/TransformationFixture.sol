// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {Fixture} from "./Fixture.sol";

/// @notice A started order with a gate, a lot of ten pieces in it, and what transforms lots and expects refusals.
abstract contract TransformationFixture is Fixture {
    ILots.TransformationKind internal constant SPLIT = ILots.TransformationKind.Split;
    ILots.TransformationKind internal constant MERGE = ILots.TransformationKind.Merge;
    ILots.TransformationKind internal constant CONVERSION = ILots.TransformationKind.Conversion;

    bytes32 internal _order;
    bytes32 internal _lot;

    function setUp() public override {
        super.setUp();
        _order = _startedOrder("order");
        _lot = _commission(_order, "lot", 10);
    }

    // ---- inside ----

    function _splitOf(uint40 first, uint40 second) internal view returns (ILots.Transformation memory) {
        return _change(SPLIT, _order, _inputs(_lot, 10), _outputs("a", first, "b", second));
    }

    function _mergeOf(bytes32 order, bytes32 left, bytes32 right, uint40 quantity)
        internal
        view
        returns (ILots.Transformation memory)
    {
        bytes32[] memory lots = _sorted(left, right);
        ILots.Input[] memory inputs = new ILots.Input[](2);
        inputs[0] = _input(lots[0], ledger.lotOf(lots[0]).quantity);
        inputs[1] = _input(lots[1], ledger.lotOf(lots[1]).quantity);
        return _change(MERGE, order, inputs, _outputs("out", quantity));
    }

    function _refuseChange(Party storage party, ILots.Transformation memory change, bytes memory reason) internal {
        _refuse(party, reason);
        ledger.transformLots(change);
    }

    function _refuseShape(ILots.TransformationKind kind, ILots.Input[] memory inputs, ILots.Output[] memory outputs)
        internal
    {
        bytes memory reason =
            abi.encodeWithSelector(ILots.TransformationShapeWrong.selector, kind, _conserved(inputs), outputs.length);
        _refuseChange(maker, _change(kind, _order, inputs, outputs), reason);
    }

    function _conserved(ILots.Input[] memory inputs) internal pure returns (uint256 conserved) {
        for (uint256 i; i < inputs.length; ++i) {
            if (!inputs[i].component) ++conserved;
        }
    }

    /// @dev Sets the unit of all outputs.
    function _measure(ILots.Transformation memory change, bytes3 unit) internal pure {
        change.outputUnit = unit;
        for (uint256 i; i < change.outputs.length; ++i) {
            change.outputs[i].unit = unit;
        }
    }

    function _unitWrong(bytes32 lot, bytes3 unit) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ILots.TransformationUnitWrong.selector, lot, unit);
    }

    function _bound(bytes32 lot) internal view returns (bytes memory) {
        return abi.encodeWithSelector(ILots.LotBoundToOrder.selector, lot, _order, buyer.id);
    }

    function _unbalanced(uint256 input, uint256 loss, uint256 output, uint40 yieldIn, uint40 yieldOut)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ILots.TransformationUnbalanced.selector, input, loss, output, yieldIn, yieldOut);
    }

    function _orderWrong(bytes32 lot, bytes32 given, uint40 sequence) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ILots.LotOrderWrong.selector, lot, given, sequence);
    }

    function _lotState(bytes32 lot, ILots.LotState state) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ILots.LotStateWrong.selector, lot, state);
    }

    function _assignmentState(IAssignments.AssignmentState state) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IAssignments.AssignmentStateWrong.selector, _order, 0, state);
    }

    function _gateClosed(bytes32 lot) internal view returns (bytes memory) {
        return abi.encodeWithSelector(
            ICustody.GateClosed.selector,
            lot,
            inspector.id,
            model,
            0,
            ICertificates.CertificateStatus.None,
            ICertificates.Verdict.None,
            0,
            0,
            false
        );
    }
}
