// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../../src/interfaces/IAssignments.sol";
import {IEvidence} from "../../src/interfaces/IEvidence.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {IRevisions} from "../../src/interfaces/IRevisions.sol";
import {Gates} from "../../src/libraries/Gates.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Subjects} from "../../src/libraries/Subjects.sol";
import {Models} from "../Models.sol";
import {Draw} from "./Draw.sol";

/// @notice Orders, assignments, evidence and the registry, mostly as their parties would use them.
abstract contract Production is Draw {
    struct Proposal {
        IOrders.OrderTerms terms;
        uint40 sequence;
        uint32 proposer;
    }

    uint40[] internal _machines;
    uint40[] internal _models;
    bytes32[] internal _streams;
    mapping(bytes32 order => Proposal) private _proposals;
    /// @dev Where the latest proposal is.
    bytes32 private _revised;
    bytes32 private _ending;
    uint40 private _endingProposal;
    uint32 private _endingParty;
    /// @dev A key that was proposed and not accepted yet, and by whom.
    address private _pendingKey;
    uint32 private _pendingId;
    uint32 private _recoveringId;
    /// @dev An operation to go on with.
    bytes32 private _assignedOrder;
    uint16 private _assignedOperation;

    // ---- orders ----

    function place(uint256 seed) external act(seed) {
        bytes32 name = _name();
        uint32 from = _chance(90) ? buyer.id : uint32(1 + _below(9));
        IOrders.OrderTerms memory terms = _drawTerms();
        if (_chance(3)) terms.operations = _chance(50) ? 0 : 65;
        bytes memory data = abi.encodeCall(IOrders.placeOrder, (name, terms));
        if (_record(_parties[from - 1].key, data)) _orders.push(Subjects.derive(Subjects.Kind.Order, from, name));
    }

    /// @dev The move that an order's state asks for, sometimes another one.
    function decide(uint256 seed) external act(seed) {
        bytes32 order = _anyOrder();
        for (uint256 i; i < 3 && !_isWaiting(order); ++i) {
            order = _anyOrder();
        }
        IOrders.Order memory stored = ledger.orderOf(order);
        uint256 move = _below(100);
        if (stored.state == IOrders.OrderState.InProduction || move > 97) {
            _record(_keyOf(stored.coordinator), abi.encodeCall(IOrders.completeOrder, (order, ROOT)));
        } else if (stored.state == IOrders.OrderState.Completed || move > 95) {
            bytes32[] memory lots = _deliverable(order, stored);
            _record(_keyOf(stored.buyer), abi.encodeCall(IOrders.confirmDelivery, (order, lots, ROOT)));
        } else if (stored.state == IOrders.OrderState.Placed && move < 80) {
            _record(_keyOf(coordinator.id), abi.encodeCall(IOrders.acceptOrder, (order, ROOT)));
        } else if (move > 87 || _chance(30)) {
            uint32 party = _chance(50) ? buyer.id : coordinator.id;
            _record(_keyOf(party), abi.encodeCall(IOrders.cancelOrder, (order, ROOT)));
        }
    }

    function revise(uint256 seed) external act(seed) {
        bytes32 order = _chance(70) && _revised != 0 ? _revised : _anyOrder();
        Proposal storage open = _proposals[order];
        IOrders.Order memory stored = ledger.orderOf(order);
        uint32 party = _chance(50) ? stored.buyer : stored.coordinator;
        if (open.sequence != 0 && _chance(70)) {
            IOrders.OrderTerms memory agreed = open.terms;
            if (_chance(15)) agreed.claimsRoot = _name();
            uint32 by = open.proposer == stored.buyer ? stored.coordinator : stored.buyer;
            if (agreed.coordinator != stored.coordinator && _chance(50)) by = agreed.coordinator;
            bytes memory data = abi.encodeCall(IRevisions.acceptRevision, (order, agreed, open.sequence));
            _record(_keyOf(_chance(85) ? by : party), data);
            if (agreed.coordinator != stored.coordinator) _record(_keyOf(agreed.coordinator), data); // all three
            return;
        }
        IOrders.OrderTerms memory terms = _drawTerms();
        terms.operations += stored.operations - (_chance(90) ? 1 : 0);
        if (_chance(60)) terms.gates = ledger.gatesOf(order);
        terms.coordinator = _chance(60) ? stored.coordinator : _chance(50) ? coordinator.id : maker2.id;
        if (terms.operations > 4) terms.operations = _chance(90) ? 4 : 65;
        if (!_record(_keyOf(party), abi.encodeCall(IRevisions.proposeRevision, (order, terms)))) return;
        _revised = order;
        _proposals[order] = Proposal(terms, ledger.sequence(), party);
        bool other = terms.coordinator != stored.coordinator;
        if (other && _chance(40)) {
            _try(owner, address(registry), abi.encodeCall(IRegistry.suspend, (stored.coordinator, ROOT)));
        }
    }

    /// @dev Ends an order, at times once the other side is gone: suspended, and waited for.
    function end(uint256 seed) external act(seed) {
        bytes32 order = _chance(70) && _ending != 0 ? _ending : _anyOrder();
        IOrders.Order memory stored = ledger.orderOf(order);
        uint32 party = _chance(50) ? stored.buyer : stored.coordinator;
        if (order != _ending || _chance(10)) {
            if (!_record(_keyOf(party), abi.encodeCall(IRevisions.proposeEnd, (order, ROOT)))) return;
            (_ending, _endingProposal, _endingParty) = (order, ledger.sequence(), party);
            uint32 other = party == stored.buyer ? stored.coordinator : stored.buyer;
            if (_chance(60)) _try(owner, address(registry), abi.encodeCall(IRegistry.suspend, (other, ROOT)));
            return;
        }
        if (_chance(60)) _clock += 14 days - (_chance(20) ? 1 : 0);
        vm.warp(_clock);
        if (_chance(60)) party = _endingParty;
        if (_record(_keyOf(party), abi.encodeCall(IRevisions.endOrder, (order, _endingProposal, ROOT)))) _ending = 0;
    }

    // ---- assignments ----

    function assign(uint256 seed) external act(seed) {
        (bytes32 order, uint16 operation) = _drawOperation();
        IAssignments.Assignment memory current = ledger.assignmentOf(order, operation);
        if (current.sequence != 0 && _chance(70)) (_assignedOrder, _assignedOperation) = (order, operation);
        if (_assignedOrder != 0 && _chance(60)) (order, operation) = (_assignedOrder, _assignedOperation);
        current = ledger.assignmentOf(order, operation);
        IAssignments.AssignmentState state = current.state;
        address by = _keyOf(current.owner);
        uint40 number = _chance(97) ? current.sequence : uint40(_below(20));
        bytes memory data;
        if (_chance(8)) {
            by = _keyOf(_chance(70) ? ledger.orderOf(order).coordinator : ledger.orderOf(order).buyer);
            data = abi.encodeCall(IAssignments.cancelAssignment, (order, operation, number, ROOT));
        } else if (state == IAssignments.AssignmentState.Proposed) {
            data = _chance(85)
                ? abi.encodeCall(IAssignments.acceptAssignment, (order, operation, number, ROOT))
                : abi.encodeCall(IAssignments.declineAssignment, (order, operation, number, ROOT));
        } else if (state == IAssignments.AssignmentState.Accepted) {
            bytes32 evidence = _chance(95) ? _streamOf(current.machine) : _streams[_below(_streams.length)];
            data = abi.encodeCall(IAssignments.startAssignment, (order, operation, number, evidence, ROOT));
        } else if (state == IAssignments.AssignmentState.Started && _chance(95)) {
            bytes32 evidence = _chance(90) ? _streamOf(current.machine) : _streams[_below(_streams.length)];
            uint40 leaf = _chance(85) ? current.streamSize : uint40(_below(12));
            // Work that was never measured cannot be finished, and seldom is by chance.
            if (_chance(90)) _measureMore(evidence, leaf);
            data = abi.encodeCall(IAssignments.finishAssignment, (order, operation, number, evidence, leaf, LEAF));
        } else {
            uint40 machine_ = _machines[_below(_machines.length)];
            data = abi.encodeCall(IAssignments.proposeAssignment, (order, operation, machine_, ROOT));
            by = _keyOf(ledger.orderOf(order).coordinator);
        }
        _record(by, data);
    }

    // ---- evidence ----

    function _measureMore(bytes32 evidence, uint40 leaf) private {
        IEvidence.Stream memory stored = ledger.streamOf(evidence);
        if (stored.size > leaf) return;
        _record(_keyOf(stored.owner), abi.encodeCall(IEvidence.anchor, (evidence, leaf + 1, _name())));
    }

    function measure(uint256 seed) external act(seed) {
        if (_chance(20)) {
            uint40 machine_ = _machines[_below(_machines.length)];
            if (_chance(20)) machine_ = 0;
            uint32 owner_ = machine_ == 0 ? auditor.id : registry.machineOf(machine_).owner;
            bytes32 name = _name();
            bytes32 opened = Subjects.derive(Subjects.Kind.Stream, owner_, name);
            if (_record(_parties[owner_ - 1].key, abi.encodeCall(IEvidence.openStream, (name, machine_, ROOT)))) {
                _streams.push(opened);
            }
            return;
        }
        bytes32 evidence = _streams[_below(_streams.length)];
        IEvidence.Stream memory stored = ledger.streamOf(evidence);
        uint40 size = _chance(85) ? stored.size + _small(1, 9) : uint40(_below(20));
        _record(_keyOf(stored.owner), abi.encodeCall(IEvidence.anchor, (evidence, size, _name())));
    }

    // ---- registry ----

    function rotate(uint256 seed) external act(seed) {
        uint256 i = _pendingId != 0 && _chance(60) ? _pendingId - 1 : _below(_parties.length);
        address fresh = vm.addr(uint256(keccak256(abi.encode(_next()))));
        if (_chance(15)) fresh = _anyKey();
        address by = _keyOf(_parties[i].id);
        if (registry.participantOf(_parties[i].id).keys == 1 && _chance(20)) {
            _try(by, address(registry), abi.encodeCall(IRegistry.revokeKey, (_parties[i].key, 0)));
            return;
        }
        (uint16 roles, bool admin) = _chance(80) ? (Roles.ANY, true) : (uint16(_below(65)), _chance(30));
        bool proposed = _try(by, address(registry), abi.encodeCall(IRegistry.proposeKey, (fresh, roles, admin)));
        if (proposed && _chance(30)) (_pendingKey, _pendingId) = (fresh, _parties[i].id);
        if (_pendingKey == fresh) return;
        uint32 id = _chance(90) ? _parties[i].id : uint32(1 + _below(9));
        if (!_try(fresh, address(registry), abi.encodeCall(IRegistry.acceptKey, (id)))) {
            if (proposed) _strangers.push(fresh);
            return;
        }
        address old = _parties[id - 1].key;
        if (!registry.keyOf(fresh).admin) {
            _strangers.push(fresh); // it acts at times, within its roles
            _try(old, address(registry), abi.encodeCall(IRegistry.setKey, (fresh, uint16(_below(65)), _chance(50))));
            return;
        }
        _parties[id - 1].key = fresh;
        if (_chance(20)) _try(_anyKey(), address(registry), abi.encodeCall(IRegistry.acceptKey, (id)));
        uint40 since = _chance(50) ? 0 : uint40(block.timestamp - _below(1000));
        bytes memory data = abi.encodeCall(IRegistry.revokeKey, (_chance(90) ? old : fresh, since));
        if (_try(_chance(80) ? fresh : old, address(registry), data) && registry.keyOf(fresh).revokedAt != 0) {
            (_parties[id - 1].key, old) = (old, fresh);
        }
        if (_chance(30)) {
            data = abi.encodeCall(IRegistry.revokeKey, (old, uint40(block.timestamp - _below(1000))));
            _try(_parties[id - 1].key, address(registry), data);
        }
        _strangers.push(old);
        if (_pendingKey == address(0) || _chance(50)) return;
        _try(_pendingKey, address(registry), abi.encodeCall(IRegistry.acceptKey, (_pendingId)));
        _strangers.push(_pendingKey);
        _pendingKey = address(0);
    }

    function recover(uint256 seed) external act(seed) {
        uint32 id = _recoveringId != 0 && _chance(85) ? _recoveringId : uint32(1 + _below(_parties.length));
        IRegistry.Recovery memory open = registry.recoveryOf(id);
        if (open.key == address(0) || _chance(5)) {
            address fresh = vm.addr(uint256(keccak256(abi.encode(_next()))));
            address by = _chance(90) ? owner : _anyKey();
            if (_try(by, address(registry), abi.encodeCall(IRegistry.proposeRecovery, (id, fresh)))) {
                _recoveringId = id;
            }
            return;
        }
        if (!open.objected && _chance(40)) {
            _try(_keyOf(id), address(registry), abi.encodeCall(IRegistry.objectToRecovery, ()));
            return;
        }
        if (_chance(70) && block.timestamp < open.effectiveAt) {
            _clock = open.effectiveAt;
            vm.warp(_clock);
        }
        if (open.objected && !open.overruled && _chance(90)) {
            _try(owner, address(registry), abi.encodeCall(IRegistry.overruleObjection, (id)));
        } else if (_try(open.key, address(registry), abi.encodeCall(IRegistry.acceptRecovery, (id)))) {
            _strangers.push(_parties[id - 1].key);
            _parties[id - 1].key = open.key;
            _recoveringId = 0;
        }
    }

    function govern(uint256 seed) external act(seed) {
        address by = _chance(90) ? owner : _anyKey();
        uint32 id = uint32(1 + _below(_parties.length));
        bool suspended = registry.participantOf(id).suspended;
        bytes memory data;
        if (_chance(5)) data = abi.encodeCall(IRegistry.publish, (uint16(_below(3)), _name()));
        else if (registry.participantOf(id).departed) data = abi.encodeCall(IRegistry.reinstate, (id));
        else if (_chance(5)) (by, data) = (_keyOf(id), abi.encodeCall(IRegistry.depart, (ROOT)));
        else if (suspended) data = abi.encodeCall(IRegistry.reinstate, (id));
        else if (_chance(40)) data = abi.encodeCall(IRegistry.suspend, (id, ROOT));
        else if (_chance(30)) data = abi.encodeCall(IRegistry.setRoles, (id, uint16(_below(65))));
        else data = abi.encodeCall(IRegistry.setRoles, (id, registry.participantOf(id).roles | Roles.CARRIER));
        _try(by, address(registry), data);
    }

    function equip(uint256 seed) external act(seed) {
        uint40 machine_ = _machines[_below(_machines.length)];
        uint32 owner_ = _chance(70) ? registry.machineOf(machine_).owner : uint32(1 + _below(9));
        bytes memory data = abi.encodeCall(IRegistry.retireMachine, (machine_, ROOT));
        if (_chance(15)) {
            _try(_keyOf(owner_), address(registry), abi.encodeCall(IRegistry.setNameKey, (bytes32(_below(9)))));
        } else if (_chance(30)) {
            _try(_keyOf(owner_), address(registry), data);
        } else if (_try(_keyOf(owner_), address(registry), abi.encodeCall(IRegistry.registerMachine, (_name(), ROOT))))
        {
            _machines.push(registry.sequence());
        }
    }

    function research(uint256 seed) external act(seed) {
        uint40 number = _models[_below(_models.length)];
        IRegistry.ModelState state = registry.stateOfModel(number);
        address by = _keyOf(_chance(50) ? inspector.id : auditor.id);
        if (_chance(30)) {
            bytes memory content = Models.build(Models.plan(Models.sizesOf(1, 1), uint256(_name()) >> 8));
            bytes memory data = _chance(50)
                ? abi.encodeCall(IRegistry.registerModel, (_name(), ROOT))
                : abi.encodeCall(IRegistry.publishModel, (content, ROOT));
            if (_try(_keyOf(inspector.id), address(registry), data)) _models.push(registry.sequence());
        } else if (state == IRegistry.ModelState.Registered) {
            _try(_keyOf(auditor.id), address(registry), abi.encodeCall(IRegistry.approveModel, (number, ROOT)));
        } else if (state == IRegistry.ModelState.Approved && _chance(35)) {
            bytes memory data = _chance(60)
                ? abi.encodeCall(IRegistry.openModel, (number, _chance(60)))
                : abi.encodeCall(IRegistry.retireModel, (number, ROOT));
            _try(_keyOf(inspector.id), address(registry), data);
        } else if (_chance(35)) {
            if (_chance(10)) by = _chance(50) ? owner : _anyKey();
            _try(by, address(registry), abi.encodeCall(IRegistry.withdrawModel, (number, 0, ROOT)));
        }
    }

    function wait(uint256 seed) external act(seed) {
        _clock += _below(8 days);
    }

    // ---- inside ----

    function _drawTerms() internal returns (IOrders.OrderTerms memory terms) {
        terms = _terms(uint16(1 + _below(2)));
        if (_chance(25)) terms.gates = 0;
        else terms.gates = Gates.one(_chance(10) ? inspector2.id : inspector.id, _drawModel());
        if (terms.gates != 0 && _chance(25)) {
            terms.gates = _both(inspector.id, _drawModel(), inspector2.id, _drawModel());
            if (_chance(4)) terms.gates = Gates.rest(terms.gates) | terms.gates << 72;
        }
        if (_chance(40)) (terms.quantity, terms.unit) = (uint32(_small(1, 6)), _chance(90) ? PIECE : bytes3("KGM"));
    }

    /// @dev 0 for a procedure.
    function _drawModel() private returns (uint40) {
        return _chance(30) ? 0 : (_chance(40) ? _models[_below(_models.length)] : model);
    }

    /// @dev The order's lots that its buyer has; seldom all that there are.
    function _deliverable(bytes32 order, IOrders.Order memory stored) internal returns (bytes32[] memory lots) {
        bool any = _chance(3);
        lots = new bytes32[](_lots.length);
        uint256 found;
        for (uint256 i; i < _lots.length; ++i) {
            ILots.Lot memory lot = ledger.lotOf(_lots[i]);
            bool fit = lot.order == stored.sequence && lot.holder == stored.buyer && lot.state == ILots.LotState.Held;
            if (any || (order != 0 && fit && !lot.packed)) lots[found++] = _lots[i];
        }
        assembly ("memory-safe") {
            mstore(lots, found)
        }
        for (uint256 i = 1; i < found; ++i) {
            for (uint256 j = i; j != 0 && lots[j] < lots[j - 1]; --j) {
                (lots[j], lots[j - 1]) = (lots[j - 1], lots[j]);
            }
        }
    }

    function _drawOperation() internal returns (bytes32 order, uint16 operation) {
        order = _anyOrder();
        uint16 operations = ledger.orderOf(order).operations;
        operation = uint16(_below(uint256(operations) + (_chance(95) ? 0 : 1) + (operations == 0 ? 1 : 0)));
    }

    /// @dev Whether the order waits for a decision that can be made now.
    function _isWaiting(bytes32 order) private view returns (bool) {
        IOrders.Order memory stored = ledger.orderOf(order);
        bool made = stored.state == IOrders.OrderState.InProduction;
        for (uint16 operation; made && operation < stored.operations; ++operation) {
            made = ledger.assignmentOf(order, operation).finishedOnce;
        }
        return made || stored.state == IOrders.OrderState.Placed || stored.state == IOrders.OrderState.Completed;
    }

    function _streamOf(uint40 machine_) private view returns (bytes32) {
        for (uint256 i; i < _streams.length; ++i) {
            if (ledger.streamOf(_streams[i]).machine == machine_) return _streams[i];
        }
        return 0;
    }

    /// @notice The kinds of records that these actions make, see Reach.t.sol.
    function productionKinds() public pure returns (bytes32[] memory kinds) {
        kinds = new bytes32[](39);
        kinds[0] = IRegistry.RolesSet.selector;
        kinds[1] = IRegistry.ParticipantSuspended.selector;
        kinds[2] = IRegistry.ParticipantReinstated.selector;
        kinds[3] = IRegistry.KeyProposed.selector;
        kinds[4] = IRegistry.KeyAdded.selector;
        kinds[5] = IRegistry.KeyRevoked.selector;
        kinds[6] = IRegistry.MachineRegistered.selector;
        kinds[7] = IRegistry.MachineRetired.selector;
        kinds[8] = IRegistry.ModelRegistered.selector;
        kinds[9] = IRegistry.ModelApproved.selector;
        kinds[10] = IRegistry.ModelWithdrawn.selector;
        kinds[11] = IOrders.OrderPlaced.selector;
        kinds[12] = IOrders.OrderAccepted.selector;
        kinds[13] = IOrders.OrderCancelled.selector;
        kinds[14] = IRevisions.RevisionProposed.selector;
        kinds[15] = IRevisions.RevisionAccepted.selector;
        kinds[16] = IOrders.OrderCompleted.selector;
        kinds[17] = IOrders.OrderDelivered.selector;
        kinds[18] = IAssignments.AssignmentProposed.selector;
        kinds[19] = IAssignments.AssignmentAccepted.selector;
        kinds[20] = IAssignments.AssignmentDeclined.selector;
        kinds[21] = IAssignments.AssignmentStarted.selector;
        kinds[22] = IAssignments.AssignmentFinished.selector;
        kinds[23] = IAssignments.AssignmentCancelled.selector;
        kinds[24] = IEvidence.StreamOpened.selector;
        kinds[25] = IEvidence.StreamAnchored.selector;
        kinds[26] = IRegistry.ModelPublished.selector;
        kinds[27] = IRegistry.KeyChanged.selector;
        kinds[28] = IRegistry.RecoveryProposed.selector;
        kinds[29] = IRegistry.RecoveryObjected.selector;
        kinds[30] = IRegistry.RecoveryOverruled.selector;
        kinds[31] = IRegistry.RecoveryAccepted.selector;
        kinds[32] = IRegistry.ParticipantDeparted.selector;
        kinds[33] = IRegistry.NameKeySet.selector;
        kinds[34] = IRegistry.Published.selector;
        kinds[35] = IRegistry.ModelOpened.selector;
        kinds[36] = IRegistry.ModelRetired.selector;
        kinds[37] = IRevisions.EndProposed.selector;
        kinds[38] = IRevisions.OrderEnded.selector;
    }
}
