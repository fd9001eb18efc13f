// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../interfaces/ICertificates.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {Roles} from "../libraries/Roles.sol";
import {Certificates} from "./Certificates.sol";

/// @title Certificates opened, and demanded to be
abstract contract Challenges is Certificates {
    /// @dev Long enough to find the measured data of one part in an archive.
    uint40 private constant OPENING_PERIOD = 7 days;
    /// @dev Between two demands of one participant: an opening gives measured data away.
    uint40 private constant DEMAND_PERIOD = 1 hours;
    bytes private constant CONTEXT_TAG = "millmark.inference-context.v1\x00";

    /// @inheritdoc ICertificates
    /// @dev That the opened record is a CertificateIssued of this lot is known by its sequence.
    function challenge(bytes32 lot, Opening calldata opening, Issued calldata issued, Inference calldata inference)
        external
    {
        Actor memory actor = _actor(Roles.ANY);
        Certificate storage entry = _standing(lot, opening.sequence);
        if (entry.state == CertificateState.Upheld) revert CertificateStateWrong(lot, entry.sequence, entry.state);
        _requireOpening(lot, opening);
        _requireIssued(lot, opening, issued);
        (bool right, Verdict executed) = _examine(issued.statement, inference);
        if (right) _uphold(lot, entry, actor, executed != Verdict.None);
        else _refute(lot, issued.statement.order, entry, actor, executed);
    }

    /// @inheritdoc ICertificates
    function demandOpening(bytes32 lot, bytes32 order, uint40 certificate) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.AUDITOR);
        _requireOrder(lot, _existingLot(lot), order);
        if (actor.roles & Roles.AUDITOR == 0 && (order == 0 || _orders[order].buyer != actor.participant)) {
            revert IOrders.OrderPartyWrong(order, actor.participant, _orders[order].buyer);
        }
        Certificate storage entry = _standing(lot, certificate);
        if (entry.state != CertificateState.Issued) revert CertificateStateWrong(lot, certificate, entry.state);
        _spendDemand(actor.participant);
        uint40 deadline = uint40(block.timestamp) + OPENING_PERIOD;
        (entry.state, entry.openingDeadline) = (CertificateState.Demanded, deadline);
        _recordPair(OpeningDemanded.selector, actor, lot, certificate, bytes32(uint256(deadline)));
    }

    function _spendDemand(uint32 participant) private {
        uint40 again = _lastDemands[participant] + DEMAND_PERIOD;
        if (block.timestamp < again) revert CertificateDemandTooSoon(participant, again);
        _lastDemands[participant] = uint40(block.timestamp);
    }

    function _uphold(bytes32 lot, Certificate storage entry, Actor memory actor, bool executed) private {
        if (entry.state == CertificateState.Demanded && entry.openingDeadline <= block.timestamp) {
            revert CertificateOpeningLate(lot, entry.sequence, entry.openingDeadline);
        }
        entry.state = CertificateState.Upheld;
        bytes32 word = bytes32(uint256(executed ? 1 : 0));
        _recordPair(CertificateUpheld.selector, actor, lot, entry.sequence, word);
    }

    function _refute(bytes32 lot, bytes32 order, Certificate storage entry, Actor memory actor, Verdict executed)
        private
    {
        entry.state = CertificateState.Refuted;
        Verdict verdict = executed == Verdict.Pass ? Verdict.Pass : Verdict.Fail;
        _applyVerdict(_lots[lot], order, verdict, entry.issuer);
        _recordPair(CertificateRefuted.selector, actor, lot, entry.sequence, bytes32(uint256(executed)));
    }

    /// @dev Reverts unless `issued` is what the opened record says.
    function _requireIssued(bytes32 lot, Opening calldata opening, Issued calldata issued) private pure {
        bytes memory data =
            abi.encode(opening.key, _touching(lot), issued.statement, issued.anchorSize, issued.anchorRoot);
        if (keccak256(data) != opening.digest) revert CertificateDataWrong(keccak256(data), opening.digest);
    }

    /// @dev Reverts unless the statement's digest commits to the inference, for this lot and its evidence.
    /// @return right Whether the inference says what was stated, and the model, where it is on chain, the same.
    /// @return executed What the model says; None when the input is invalid for it, or it is not on chain.
    function _examine(Statement calldata statement, Inference calldata inference)
        private
        view
        returns (bool right, Verdict executed)
    {
        bytes memory parts = abi.encode(
            block.chainid, address(this), statement.lot, statement.stream, statement.leafIndex, statement.leafHash
        );
        bytes32 context = sha256(bytes.concat(CONTEXT_TAG, parts));
        IRegistry.Model memory model = registry.modelOf(statement.model);
        bytes32 digest;
        (digest, right, executed) = registry.evaluator().examine(context, model.digest, model.code, inference);
        if (digest != statement.inferenceDigest) revert CertificateInferenceWrong(digest, statement.inferenceDigest);
        right = right && inference.verdict == uint8(statement.verdict);
    }
}
