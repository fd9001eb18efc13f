// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../interfaces/IAssignments.sol";
import {ICertificates} from "../interfaces/ICertificates.sol";
import {ICustody} from "../interfaces/ICustody.sol";
import {IEvidence} from "../interfaces/IEvidence.sol";
import {IGates} from "../interfaces/IGates.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {IRevisions} from "../interfaces/IRevisions.sol";
import {Gates} from "../libraries/Gates.sol";
import {History} from "./History.sol";

/// @title What the families of records keep, and what one family asks of another
/// @dev All state is declared here and in History, so that TraceLedger, LotOperations and CertificateOperations, which share
/// one storage, cannot disagree about where anything lies.
abstract contract Book is History {
    /// @dev In place of an order's one inspector, when it has several gates. No participant's number: they are dense.
    uint32 internal constant SEVERAL = type(uint32).max;

    mapping(bytes32 order => IOrders.Order) internal _orders;
    mapping(bytes32 order => mapping(uint16 operation => IAssignments.Assignment)) internal _assignments;
    mapping(bytes32 stream => IEvidence.Stream) internal _streams;
    mapping(bytes32 lot => ILots.Lot) internal _lots;
    mapping(uint40 certificate => ICertificates.Certificate) internal _certificates;
    mapping(uint32 participant => uint40 time) internal _lastDemands;
    /// @dev By inference: keccak256 of the issuing record's data, which a challenge shows. By procedure: that of its lots,
    /// which a revocation shows.
    mapping(uint40 certificate => bytes32) internal _issues;
    mapping(bytes32 lot => mapping(uint32 inspector => ICertificates.Standing)) internal _standings;
    mapping(bytes32 lot => ICustody.Offer) internal _offers;
    mapping(bytes32 order => IRevisions.Proposal) internal _proposals;
    /// @dev Only of an order with several gates: so most orders pay for no slot but their own.
    mapping(bytes32 order => uint256 packed) internal _gates;
    mapping(bytes32 lot => mapping(uint32 inspector => IGates.Waiver)) internal _waivers;

    function _existingOrder(bytes32 order) internal view returns (IOrders.Order storage entry) {
        entry = _orders[order];
        if (entry.sequence == 0) revert IOrders.OrderUnknown(order);
    }

    /// @dev The gates of an order that keeps `inspector` and `model`, packed.
    function _gatesOf(bytes32 order, uint32 inspector, uint40 model) internal view returns (uint256) {
        return inspector == SEVERAL ? _gates[order] : Gates.one(inspector, model);
    }

    /// @dev Whether one of the gates is the participant's, of an order that keeps `inspector`.
    function _isGateOf(bytes32 order, uint32 inspector, uint32 participant) internal view returns (bool named) {
        named = inspector == participant;
        if (inspector == SEVERAL) (named,) = Gates.find(_gates[order], participant);
    }

    /// @dev Whether a side of an order is gone: it may not do any more what its part needs.
    function _isGone(uint32 participant, uint16 role) internal view returns (bool) {
        return registry.rolesOf(participant) & role == 0;
    }

    /// @dev The operation's current assignment, when the actor owns its machine and it is in `state`.
    function _owned(
        bytes32 order,
        uint16 operation,
        uint40 assignment,
        Actor memory actor,
        IAssignments.AssignmentState state
    ) internal view returns (IAssignments.Assignment storage current) {
        current = _assignments[order][operation];
        (uint40 number, uint32 owner, IAssignments.AssignmentState kept) =
            (current.sequence, current.owner, current.state);
        _requireCurrent(order, operation, assignment, number);
        if (owner != actor.participant) revert IAssignments.AssignmentForeign(order, operation, owner);
        if (kept != state) revert IAssignments.AssignmentStateWrong(order, operation, kept);
    }

    function _current(bytes32 order, uint16 operation, uint40 assignment)
        internal
        view
        returns (IAssignments.Assignment storage current)
    {
        current = _assignments[order][operation];
        _requireCurrent(order, operation, assignment, current.sequence);
    }

    function _requireCurrent(bytes32 order, uint16 operation, uint40 assignment, uint40 current) private pure {
        if (assignment == 0 || current != assignment) {
            revert IAssignments.AssignmentNotCurrent(order, operation, assignment, current);
        }
    }

    function _isLive(IAssignments.AssignmentState state) internal pure returns (bool) {
        return state == IAssignments.AssignmentState.Proposed || state == IAssignments.AssignmentState.Accepted
            || state == IAssignments.AssignmentState.Started;
    }

    function _existingStream(bytes32 stream) internal view returns (IEvidence.Stream storage entry) {
        entry = _streams[stream];
        if (entry.sequence == 0) revert IEvidence.EvidenceStreamUnknown(stream);
    }

    /// @dev The machine's stream, when its entry `index` is under the latest anchor.
    function _anchored(bytes32 stream, uint40 index) internal view returns (IEvidence.Stream storage entry) {
        entry = _streams[stream];
        (uint40 number, uint40 machine, uint40 size) = (entry.sequence, entry.machine, entry.size);
        if (number == 0) revert IEvidence.EvidenceStreamUnknown(stream);
        if (machine == 0) revert IEvidence.EvidenceNotMeasured(stream);
        if (index >= size) revert IEvidence.EvidenceNotAnchored(stream, index, size);
    }

    function _existingLot(bytes32 lot) internal view returns (ILots.Lot storage entry) {
        entry = _lots[lot];
        if (entry.number == 0) revert ILots.LotUnknown(lot);
    }

    /// @dev Storage refers to an order by number; the caller names it by subject.
    function _requireOrder(bytes32 lot, ILots.Lot storage entry, bytes32 order) internal view {
        uint40 given = order == 0 ? 0 : _existingOrder(order).sequence;
        if (given != entry.order) revert ILots.LotOrderWrong(lot, order, entry.order);
    }

    /// @dev The lot, when it is the actor's and free to go.
    function _held(bytes32 lot, Actor memory actor) internal view returns (ILots.Lot storage entry) {
        ILots.LotState state;
        (entry, state) = _mineIn(lot, actor);
        if (state != ILots.LotState.Held) revert ILots.LotStateWrong(lot, state);
    }

    /// @dev The lot and its state, when the actor has custody of it and it is not packed. Members that are read in one
    /// statement cost one read of their slot; read one by one, one each.
    function _mineIn(bytes32 lot, Actor memory actor)
        internal
        view
        returns (ILots.Lot storage entry, ILots.LotState state)
    {
        entry = _lots[lot];
        uint40 number;
        uint40 holder;
        bool packed;
        (number, holder, packed, state) = (entry.number, entry.holder, entry.packed, entry.state);
        _requireMine(lot, number, holder, packed, actor);
    }

    function _requireMine(bytes32 lot, uint40 number, uint40 holder, bool packed, Actor memory actor) internal pure {
        if (number == 0) revert ILots.LotUnknown(lot);
        if (packed) revert ILots.LotPacked(lot, holder);
        // forge-lint: disable-next-line(unsafe-typecast) - of a lot that is not packed, a participant
        if (holder != actor.participant) revert ILots.LotForeign(lot, uint32(holder));
    }

    /// @dev The lot, when it is packed in the lot with the number `parent`.
    function _requireIn(bytes32 lot, uint40 parent) internal view returns (ILots.Lot storage entry) {
        entry = _lots[lot];
        (uint40 number, uint40 holder, bool packed) = (entry.number, entry.holder, entry.packed);
        if (number == 0) revert ILots.LotUnknown(lot);
        if (!packed) holder = 0;
        if (holder != parent) revert ILots.LotNotInParent(lot, holder, parent);
    }
}
