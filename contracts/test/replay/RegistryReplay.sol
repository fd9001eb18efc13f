// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Vm} from "../Base.sol";
import {Judge} from "./Judge.sol";

/// @notice The registry as its logs tell it.
abstract contract RegistryReplay is Judge {
    /// @dev One log, opened.
    struct Entry {
        bytes32 kind;
        uint40 sequence;
        uint32 participant;
        bytes32 subject;
        address key;
        bytes data;
    }

    IRegistry internal immutable _registry;

    address internal _owner;
    uint40 internal _registrySequence;
    uint32 internal _admitted;
    mapping(uint32 participant => IRegistry.Participant) internal _participants;
    mapping(address key => IRegistry.Key) internal _keys;
    mapping(address key => mapping(uint32 participant => address proposer)) private _proposers;
    mapping(uint40 machine => IRegistry.Machine) internal _machines;
    mapping(uint40 model => IRegistry.Model) internal _models;
    mapping(bytes32 subject => uint40) internal _named;

    constructor(IRegistry registry_) {
        _registry = registry_;
    }

    function _open(Vm.Log memory log) internal pure returns (Entry memory entry) {
        (entry.kind, entry.subject, entry.data) = (log.topics[0], log.topics[3], log.data);
        (entry.sequence, entry.participant) = abi.decode(abi.encode(log.topics[1], log.topics[2]), (uint40, uint32));
        entry.key = abi.decode(log.data, (address));
    }

    function _replayRegistry(Entry memory entry) internal {
        _hold(Property.Numbering, entry.sequence == ++_registrySequence, "registry: sequence has a gap");
        if (_applyOwner(entry) || _applyKey(entry) || _applyMachine(entry) || _applyModel(entry)) return;
        _hold(Property.Rebuilt, false, "registry: event of unknown kind");
    }

    /// @dev Whether `key` may act for `participant` with one of the roles `needed`, by the logs so far.
    function _mayAct(uint32 participant, address key, uint16 needed) internal view returns (bool) {
        IRegistry.Key storage known = _keys[key];
        IRegistry.Participant storage company = _participants[participant];
        return participant != 0 && known.participant == participant && known.revokedAt == 0 && !company.suspended
            && company.roles & needed != 0;
    }

    /// @dev What a participant may do, by the logs so far.
    function _rolesOf(uint32 id) internal view returns (uint16) {
        return _participants[id].suspended ? 0 : _participants[id].roles;
    }

    function _applyOwner(Entry memory entry) private returns (bool) {
        uint32 id;
        if (entry.kind == IRegistry.ParticipantAdmitted.selector) {
            uint16 roles;
            address first;
            (, id, roles, first,) = abi.decode(entry.data, (address, uint32, uint16, address, bytes32));
            _hold(Property.Keys, id == ++_admitted, "registry: participants are not numbered in order");
            _participants[id] = IRegistry.Participant(roles, 0, false, entry.sequence);
            _addKey(id, first);
        } else if (entry.kind == IRegistry.RolesSet.selector) {
            uint16 roles;
            (, id, roles) = abi.decode(entry.data, (address, uint32, uint16));
            _participants[id].roles = roles;
        } else if (entry.kind == IRegistry.ParticipantSuspended.selector) {
            (, id,) = abi.decode(entry.data, (address, uint32, bytes32));
            _hold(Property.Authority, !_participants[id].suspended, "registry: suspended twice");
            _participants[id].suspended = true;
        } else if (entry.kind == IRegistry.ParticipantReinstated.selector) {
            (, id) = abi.decode(entry.data, (address, uint32));
            _participants[id].suspended = false;
        } else {
            return false;
        }
        bool byOwner = entry.participant == 0 && entry.key == _owner;
        _hold(Property.Authority, byOwner, "registry: not by the owner");
        _touch(Part.Participant, bytes32(uint256(id)));
        return true;
    }

    function _applyKey(Entry memory entry) private returns (bool) {
        uint32 id = entry.participant;
        if (entry.kind == IRegistry.KeyProposed.selector) {
            _hold(Property.Authority, _mayAct(id, entry.key, Roles.ANY), "proposeKey: no authority");
            (, address proposed) = abi.decode(entry.data, (address, address));
            _proposers[proposed][id] = entry.key;
        } else if (entry.kind == IRegistry.KeyAdded.selector) {
            _hold(Property.Authority, !_participants[id].suspended, "acceptKey: suspended");
            address proposer = _proposers[entry.key][id];
            bool invited = _keys[proposer].participant == id && _keys[proposer].revokedAt == 0;
            _hold(Property.Keys, invited, "acceptKey: not proposed by an active key");
            _addKey(id, entry.key);
        } else if (entry.kind == IRegistry.KeyRevoked.selector) {
            _hold(Property.Authority, _mayAct(id, entry.key, Roles.ANY), "revokeKey: no authority");
            (, address revoked, uint40 since) = abi.decode(entry.data, (address, address, uint40));
            IRegistry.Key storage key = _keys[revoked];
            _hold(Property.Keys, key.participant == id, "revokeKey: not a key of its own");
            if (key.revokedAt != 0) {
                bool earlier =
                    since != 0 && since < key.revokedAt && (key.compromisedSince == 0 || since < key.compromisedSince);
                _hold(Property.Keys, earlier, "revokeKey: doubt taken back");
            } else {
                key.revokedAt = uint40(block.timestamp);
                --_participants[id].keys;
            }
            key.compromisedSince = since;
            _touch(Part.Key, bytes32(uint256(uint160(revoked))));
        } else {
            return false;
        }
        _hold(Property.Keys, _participants[id].keys != 0, "registry: participant without a key");
        _touch(Part.Participant, bytes32(uint256(id)));
        return true;
    }

    function _applyMachine(Entry memory entry) private returns (bool) {
        uint40 machine = entry.sequence;
        uint16 needed = Roles.MANUFACTURER | Roles.INSPECTOR;
        if (entry.kind == IRegistry.MachineRegistered.selector) {
            _machines[machine].owner = entry.participant;
            _name(entry);
        } else if (entry.kind == IRegistry.MachineRetired.selector) {
            (, machine,) = abi.decode(entry.data, (address, uint40, bytes32));
            _hold(Property.Authority, _machines[machine].owner == entry.participant, "retireMachine: foreign");
            _machines[machine].retiredAt = uint40(block.timestamp);
        } else {
            return false;
        }
        _hold(Property.Authority, _mayAct(entry.participant, entry.key, needed), "machine: no authority");
        _touch(Part.Machine, bytes32(uint256(machine)));
        return true;
    }

    function _applyModel(Entry memory entry) private returns (bool) {
        uint40 number = entry.sequence;
        uint16 needed = Roles.INSPECTOR;
        if (entry.kind == IRegistry.ModelRegistered.selector) {
            IRegistry.Model storage model = _models[number];
            (, model.digest,) = abi.decode(entry.data, (address, bytes32, bytes32));
            (model.inspector, model.state) = (entry.participant, IRegistry.ModelState.Registered);
            _name(entry);
        } else if (entry.kind == IRegistry.ModelPublished.selector) {
            IRegistry.Model storage model = _models[number];
            (, model.digest, model.code,) = abi.decode(entry.data, (address, bytes32, address, bytes32));
            (model.inspector, model.state) = (entry.participant, IRegistry.ModelState.Registered);
            _hold(Property.Models, _keeps(model.code, model.digest), "publishModel: the code is not the model");
            _name(entry);
        } else if (entry.kind == IRegistry.ModelApproved.selector) {
            needed = Roles.AUDITOR;
            (, number,) = abi.decode(entry.data, (address, uint40, bytes32));
            IRegistry.Model storage model = _models[number];
            bool other = model.state == IRegistry.ModelState.Registered && model.inspector != entry.participant;
            _hold(Property.Models, other, "approveModel: not registered, or by its own inspector");
            (model.approver, model.state) = (entry.participant, IRegistry.ModelState.Approved);
        } else if (entry.kind == IRegistry.ModelWithdrawn.selector) {
            uint40 since;
            (, number, since,) = abi.decode(entry.data, (address, uint40, uint40, bytes32));
            IRegistry.Model storage model = _models[number];
            bool own = entry.participant == model.inspector;
            needed = own ? Roles.INSPECTOR : Roles.AUDITOR;
            _hold(Property.Authority, own || entry.participant == model.approver, "withdrawModel: foreign");
            _hold(Property.Models, model.state != IRegistry.ModelState.Withdrawn, "withdrawModel: twice");
            model.state = IRegistry.ModelState.Withdrawn;
            (model.withdrawnAt, model.defectiveSince) = (uint40(block.timestamp), since);
            _afterWithdrawal(number);
        } else {
            return false;
        }
        _hold(Property.Authority, _mayAct(entry.participant, entry.key, needed), "model: no authority");
        _touch(Part.Model, bytes32(uint256(number)));
        return true;
    }

    function _afterWithdrawal(uint40 model) internal virtual;

    /// @dev Whether the code is a zero byte and then what the digest names.
    function _keeps(address code, bytes32 digest) private view returns (bool) {
        bytes memory content = code.code;
        if (content.length == 0 || content[0] != 0) return false;
        bytes memory model = new bytes(content.length - 1);
        for (uint256 i; i < model.length; ++i) {
            model[i] = content[i + 1];
        }
        return sha256(model) == digest;
    }

    function _name(Entry memory entry) private {
        _hold(Property.Numbering, _named[entry.subject] == 0, "registry: subject registered twice");
        _named[entry.subject] = entry.sequence;
        bool same = _registry.sequenceOf(entry.subject) == entry.sequence;
        _hold(Property.Rebuilt, same, "registry: sequenceOf differs from its logs");
    }

    function _addKey(uint32 id, address key) private {
        _hold(Property.Keys, _keys[key].participant == 0, "registry: key changed hands");
        _keys[key] = IRegistry.Key(id, uint40(block.timestamp), 0, 0);
        ++_participants[id].keys;
        _touch(Part.Key, bytes32(uint256(uint160(key))));
    }

    function _compareRegistry(Touched memory touched) internal {
        uint256 name = uint256(touched.name);
        bytes memory stored;
        bytes memory rebuilt;
        if (touched.part == Part.Participant) {
            uint32 id = abi.decode(abi.encode(name), (uint32));
            (stored, rebuilt) = (abi.encode(_registry.participantOf(id)), abi.encode(_participants[id]));
        } else if (touched.part == Part.Key) {
            address key = abi.decode(abi.encode(name), (address));
            (stored, rebuilt) = (abi.encode(_registry.keyOf(key)), abi.encode(_keys[key]));
        } else {
            uint40 number = abi.decode(abi.encode(name), (uint40));
            if (touched.part == Part.Machine) {
                (stored, rebuilt) = (abi.encode(_registry.machineOf(number)), abi.encode(_machines[number]));
            } else {
                (stored, rebuilt) = (abi.encode(_registry.modelOf(number)), abi.encode(_models[number]));
            }
        }
        _hold(Property.Rebuilt, _same(stored, rebuilt), "registry: storage differs from its logs");
    }
}
