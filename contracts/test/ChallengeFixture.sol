// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Gates} from "../src/libraries/Gates.sol";
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
        uint256 gates = Gates.one(inspector.id, published);
        _order = _acceptedOrder("order", IOrders.OrderTerms(1, coordinator.id, gates, EXPIRY, 0, 0, ROOT));
        _start(_order, 0);
        _lot = _commission(_order, "lot", 10);
    }

    function _rework() internal {
        _as(maker);
        ledger.reworkLot(ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)));
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
        _refuseChallengeOf(_latest(_lot), inference, reason);
    }

    function _refuseChallengeOf(uint40 certificate, ICertificates.Inference memory inference, bytes memory reason)
        internal
    {
        _settle();
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
        _refuse(buyer, reason);
        ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
    }

    function _refuseInference(ICertificates.Inference memory inference) internal {
        _settle();
        (, ICertificates.Issued memory issued) = replay.issuedOf(_latest(_lot));
        _refuseChallenge(inference, _inferenceWrong(issued.statement, inference));
    }

    /// @dev Issues a statement with a digest that was made for another.
    function _requireForeign(
        ICertificates.Statement memory statement,
        ICertificates.Inference memory inference,
        bytes32 digest
    ) internal {
        statement.inferenceDigest = digest;
        _refuseChallengeOf(_issue(statement), inference, _inferenceWrong(statement, inference));
    }

    function _refuseData(address key, ICertificates.Issued memory issued, ICertificates.Inference memory inference)
        internal
    {
        uint40 certificate = _latest(_lot);
        bytes memory data = abi.encode(
            key, _one(issued.statement.items[0].lot), issued.statement, issued.anchorSize, issued.anchorRoot
        );
        vm.prank(buyer.key);
        vm.expectPartialRevert(ICertificates.CertificateDataWrong.selector);
        ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
        (address issuer, ICertificates.Issued memory right) = replay.issuedOf(certificate);
        bytes memory kept = abi.encode(issuer, _one(_lot), right.statement, right.anchorSize, right.anchorRoot);
        _refuse(
            buyer, abi.encodeWithSelector(ICertificates.CertificateDataWrong.selector, keccak256(data), keccak256(kept))
        );
        ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
    }

    function _refuseDemand(Party storage party, uint40 certificate, bytes memory reason) internal {
        _refuse(party, reason);
        ledger.demandOpening(_lot, _order, certificate);
    }

    function _stateWrong(uint40 certificate, ICertificates.CertificateState state)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ICertificates.CertificateStateWrong.selector, certificate, state);
    }

    function _inferenceWrong(ICertificates.Statement memory statement, ICertificates.Inference memory inference)
        internal
        view
        returns (bytes memory)
    {
        bytes32 computed = _digestOf(statement, inference);
        return
            abi.encodeWithSelector(
                ICertificates.CertificateInferenceWrong.selector, computed, statement.inferenceDigest
            );
    }

    function _unfitDemander(uint40 certificate, uint32 id) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICertificates.CertificateDemanderUnfit.selector, certificate, id);
    }

    /// @dev Challenges the lot's certificate, which is refuted although nothing is executed.
    function _refuteUnexecuted(Party storage by, uint40 certificate, ICertificates.Inference memory inference)
        internal
    {
        _settle();
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
        uint40 next = _expectRecord();
        emit ICertificates.CertificateRefuted(
            next, by.id, _lot, by.key, _one(_lot), certificate, ICertificates.Verdict.None
        );
        _as(by);
        ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
        _assertRefuted(ILots.LotState.Quarantined);
    }
}
