// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Inspection} from "./Inspection.sol";

/// @notice A lot of an order with a gate, and what opening a certificate of it is to lead to.
abstract contract ChallengeFixture is Inspection {
    int8 internal constant GOOD = 2;
    int8 internal constant BAD = 100;
    uint256 internal constant WEEK = 7 days;

    bytes32 internal _order;
    bytes32 internal _lot;

    function setUp() public override {
        super.setUp();
        _publish();
        _order =
            _acceptedOrder("order", IOrders.OrderTerms(1, coordinator.id, inspector.id, published, EXPIRY, 0, 0, ROOT));
        _start(_order, 0);
        _lot = _commission(_order, "lot", 10);
    }

    function _requireRefuted(ICertificates.Inference memory inference, ILots.LotState state) internal {
        _certify(_lot, _order, inference);
        _challenge(carrier, _lot, inference);
        _assertRefuted(state);
    }

    function _assertRefuted(ILots.LotState state) internal view {
        _assertState(_lot, ICertificates.CertificateState.Refuted);
        _assertStatus(_lot, ICertificates.CertificateStatus.Refuted);
        _assertLot(_lot, state, maker);
    }

    function _refuseGate() internal {
        vm.prank(maker.key);
        vm.expectPartialRevert(ICustody.GateClosed.selector);
        ledger.offerCustody(_item(_lot, _order), buyer.id, ROOT);
    }

    function _refuseChallenge(ICertificates.Inference memory inference, bytes memory reason) internal {
        _settle();
        (IHistory.Opening memory opening, ICertificates.Issued memory issued) = replay.issuingOf(_lot);
        _refuse(buyer, reason);
        ledger.challenge(_lot, opening, issued, inference);
    }

    function _refuseInference(ICertificates.Inference memory inference) internal {
        _settle();
        (IHistory.Opening memory opening, ICertificates.Issued memory issued) = replay.issuingOf(_lot);
        bytes32 computed = _digestOf(issued.statement, inference);
        bytes32 stated = issued.statement.inferenceDigest;
        _refuse(buyer, abi.encodeWithSelector(ICertificates.CertificateInferenceWrong.selector, computed, stated));
        ledger.challenge(_lot, opening, issued, inference);
    }

    /// @dev Issues a statement with a digest that was made for another.
    function _requireForeign(
        bytes32 lot,
        ICertificates.Statement memory statement,
        ICertificates.Inference memory inference,
        bytes32 digest
    ) internal {
        statement.inferenceDigest = digest;
        _issue(statement);
        _settle();
        (IHistory.Opening memory opening, ICertificates.Issued memory issued) = replay.issuingOf(lot);
        bytes32 computed = _digestOf(statement, inference);
        _refuse(buyer, abi.encodeWithSelector(ICertificates.CertificateInferenceWrong.selector, computed, digest));
        ledger.challenge(lot, opening, issued, inference);
    }

    function _refuseData(
        IHistory.Opening memory opening,
        ICertificates.Issued memory issued,
        ICertificates.Inference memory inference
    ) internal {
        bytes32 computed = keccak256(
            abi.encode(opening.key, _one(_lot), issued.statement, issued.anchorSize, issued.anchorRoot)
        );
        _refuse(buyer, abi.encodeWithSelector(ICertificates.CertificateDataWrong.selector, computed, opening.digest));
        ledger.challenge(_lot, opening, issued, inference);
    }

    function _refuseOpening(
        IHistory.Opening memory opening,
        ICertificates.Issued memory issued,
        ICertificates.Inference memory inference
    ) internal {
        vm.prank(buyer.key);
        vm.expectPartialRevert(IHistory.HistoryOpeningStale.selector);
        ledger.challenge(_lot, opening, issued, inference);
    }

    function _refuseDemand(Party storage party, uint40 certificate, bytes memory reason) internal {
        _refuse(party, reason);
        ledger.demandOpening(_lot, _order, certificate);
    }

    function _stateWrong(uint40 certificate, ICertificates.CertificateState state)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ICertificates.CertificateStateWrong.selector, _lot, certificate, state);
    }

    function _partyWrong(bytes32 order, uint32 id, uint32 expected) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IOrders.OrderPartyWrong.selector, order, id, expected);
    }
}
