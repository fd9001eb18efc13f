// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Vm} from "../Base.sol";
import {Judge} from "./Judge.sol";

/// @notice Participants and their keys as the logs tell them.
abstract contract MemberReplay is Judge {
    /// @dev One log, opened.
    struct Entry {
        bytes32 kind;
        uint40 sequence;
        uint32 participant;
        bytes32 subject;
        address key;
        bytes data;
    }

    struct Invitation {
        address proposer;
        uint16 roles;
        bool admin;
        /// By the owner, at admission.
        bool first;
        uint16 generation;
    }

    IRegistry internal immutable _registry;

    address internal _owner;
    /// @dev To whom the registry is offered, and who goes on after it; 0 for nobody.
    address private _heir;
    address internal _successor;
    uint32 internal _admitted;
    mapping(uint32 participant => IRegistry.Participant) internal _participants;
    mapping(address key => IRegistry.Key) internal _keys;
    mapping(uint32 participant => address[]) private _keysOf;
    mapping(address key => mapping(uint32 participant => Invitation)) private _invited;
    mapping(uint32 participant => IRegistry.Recovery) private _recovering;
    mapping(uint32 participant => IRegistry.NameKey[]) private _nameKeys;
    mapping(uint16 kind => bytes32) private _published;
    mapping(uint32 participant => uint32) private _trustees;

    constructor(IRegistry registry_) {
        _registry = registry_;
    }

    function _open(Vm.Log memory log) internal pure returns (Entry memory entry) {
        (entry.kind, entry.subject, entry.data) = (log.topics[0], log.topics[3], log.data);
        (entry.sequence, entry.participant) = abi.decode(abi.encode(log.topics[1], log.topics[2]), (uint40, uint32));
        entry.key = abi.decode(log.data, (address));
    }

    /// @dev Whether `key` may act for `participant` with one of the roles `needed`, by the logs so far.
    function _mayAct(uint32 participant, address key, uint16 needed) internal view returns (bool) {
        return _isOf(participant, key) && _rolesOf(participant) & _keys[key].roles & needed != 0;
    }

    /// @dev What a participant may do, by the logs so far.
    function _rolesOf(uint32 id) internal view returns (uint16) {
        return _isActive(id) ? _participants[id].roles : 0;
    }

    function _absenceOf(uint32 id) internal view returns (uint40 inactiveSince, uint32 trustee) {
        return (_participants[id].inactiveSince, _trustees[id]);
    }

    function _isActive(uint32 id) private view returns (bool) {
        return !_participants[id].suspended && !_participants[id].departed;
    }

    function _isOf(uint32 id, address key) private view returns (bool) {
        return id != 0 && _keys[key].participant == id && _keys[key].revokedAt == 0;
    }

    /// @dev Whether the key may administer the participant's keys; `active`: only while the participant may act.
    function _mayAdmin(Entry memory entry, bool active) private view returns (bool) {
        bool may = _isOf(entry.participant, entry.key) && _keys[entry.key].admin;
        return may && (!active || _isActive(entry.participant));
    }

    function _applyOwner(Entry memory entry) internal returns (bool) {
        uint32 id;
        if (entry.kind == IRegistry.ParticipantAdmitted.selector) {
            uint16 roles;
            address first;
            (, id, roles, first,) = abi.decode(entry.data, (address, uint32, uint16, address, bytes32));
            _hold(Property.Keys, id == ++_admitted, "registry: participants are not numbered in order");
            (_participants[id].roles, _participants[id].sequence) = (roles, entry.sequence);
            _invited[first][id] = Invitation(entry.key, Roles.ANY, true, true, 0);
        } else if (entry.kind == IRegistry.RolesSet.selector) {
            uint16 roles;
            (, id, roles) = abi.decode(entry.data, (address, uint32, uint16));
            _participants[id].roles = roles;
        } else if (entry.kind == IRegistry.ParticipantSuspended.selector) {
            (, id,) = abi.decode(entry.data, (address, uint32, bytes32));
            _hold(Property.Authority, _isActive(id), "registry: suspended twice, or after it left");
            (_participants[id].suspended, _participants[id].inactiveSince) = (true, uint40(block.timestamp));
        } else if (entry.kind == IRegistry.ParticipantReinstated.selector) {
            (, id) = abi.decode(entry.data, (address, uint32));
            _hold(Property.Authority, !_isActive(id), "registry: reinstated without cause");
            (_participants[id].suspended, _participants[id].departed) = (false, false);
            (_participants[id].inactiveSince, _trustees[id]) = (0, 0);
        } else {
            (bool known, uint32 named) = _applyOwnerWord(entry);
            if (!known) return false;
            id = named;
        }
        bool byOwner = entry.participant == 0 && entry.key == _owner;
        _hold(Property.Authority, byOwner, "registry: not by the owner");
        _aboutParticipant(entry, id);
        return true;
    }

    /// @dev Recoveries, and what is published to all.
    function _applyOwnerWord(Entry memory entry) private returns (bool known, uint32 id) {
        known = true;
        if (entry.kind == IRegistry.RecoveryProposed.selector) {
            address proposed;
            uint40 effectiveAt;
            (, id, proposed, effectiveAt) = abi.decode(entry.data, (address, uint32, address, uint40));
            _hold(Property.Keys, effectiveAt == block.timestamp + 14 days, "proposeRecovery: without its delay");
            _recovering[id] = IRegistry.Recovery(proposed, effectiveAt, false, false);
        } else if (entry.kind == IRegistry.RecoveryOverruled.selector) {
            (, id) = abi.decode(entry.data, (address, uint32));
            IRegistry.Recovery storage recovery = _recovering[id];
            bool due = recovery.objected && !recovery.overruled && block.timestamp >= recovery.effectiveAt;
            _hold(Property.Keys, due, "overruleObjection: none, or before the second delay");
            recovery.overruled = true;
        } else if (entry.kind == IRegistry.TrusteeNamed.selector) {
            uint32 trustee;
            (, id, trustee) = abi.decode(entry.data, (address, uint32, uint32));
            bool fits = !_isActive(id) && (trustee == 0 || _isActive(trustee));
            _hold(Property.Authority, fits, "entrust: of one who may act, or to one who may not");
            _trustees[id] = trustee;
        } else if (entry.kind == IRegistry.Published.selector) {
            (, uint16 kind, bytes32 digest) = abi.decode(entry.data, (address, uint16, bytes32));
            _published[kind] = digest;
            _touch(Part.Publication, bytes32(uint256(kind)));
        } else {
            known = _applyOwnership(entry);
        }
    }

    /// @dev Who owns the registry, and who goes on after it.
    function _applyOwnership(Entry memory entry) private returns (bool) {
        bool known = entry.kind == IRegistry.OwnershipOffered.selector
            || entry.kind == IRegistry.OwnershipAccepted.selector || entry.kind == IRegistry.Closed.selector;
        if (!known) return false;
        (, address named) = abi.decode(entry.data, (address, address));
        if (entry.kind == IRegistry.OwnershipOffered.selector) {
            _heir = named;
        } else if (entry.kind == IRegistry.OwnershipAccepted.selector) {
            _hold(Property.Authority, entry.key == _heir && named != address(0), "acceptOwnership: not offered");
            _heir = address(0);
        } else {
            _hold(Property.Terms, _successor == address(0) && named != address(0), "close: twice, or for nobody");
            _successor = named;
        }
        return true;
    }

    function _applyKey(Entry memory entry) internal returns (bool) {
        uint32 id = entry.participant;
        if (entry.kind == IRegistry.KeyProposed.selector) {
            _hold(Property.Authority, _mayAdmin(entry, true), "proposeKey: no authority");
            (, address proposed, uint16 roles, bool admin) = abi.decode(entry.data, (address, address, uint16, bool));
            uint16 generation = _participants[id].generation;
            _invited[proposed][id] = Invitation(entry.key, roles, admin, false, generation);
        } else if (entry.kind == IRegistry.KeyAdded.selector) {
            _acceptKey(entry);
        } else if (entry.kind == IRegistry.KeyChanged.selector) {
            _hold(Property.Authority, _mayAdmin(entry, true), "setKey: no authority");
            _changeKey(entry);
        } else if (entry.kind == IRegistry.KeyRevoked.selector) {
            _hold(Property.Authority, _mayAdmin(entry, false), "revokeKey: no authority");
            _revokeKey(entry);
        } else if (entry.kind == IRegistry.RecoveryAccepted.selector) {
            _recover(entry);
        } else {
            return _applyAdmin(entry);
        }
        _hold(Property.Keys, _participants[id].admins != 0, "registry: participant without an admin key");
        _aboutParticipant(entry, id);
        return true;
    }

    /// @dev What admin keys say that is not about keys that sign.
    function _applyAdmin(Entry memory entry) private returns (bool) {
        uint32 id = entry.participant;
        bool may = _mayAdmin(entry, true);
        if (entry.kind == IRegistry.ParticipantDeparted.selector) {
            (_participants[id].departed, _participants[id].inactiveSince) = (true, uint40(block.timestamp));
        } else if (entry.kind == IRegistry.RecoveryObjected.selector) {
            (, uint40 effectiveAt) = abi.decode(entry.data, (address, uint40));
            IRegistry.Recovery storage recovery = _recovering[id];
            bool first = recovery.key != address(0) && !recovery.objected;
            _hold(Property.Keys, first, "objectToRecovery: none, or a second time");
            _hold(Property.Keys, effectiveAt == block.timestamp + 14 days, "objectToRecovery: without its delay");
            (recovery.objected, recovery.effectiveAt) = (true, effectiveAt);
        } else if (entry.kind == IRegistry.NameKeySet.selector) {
            (, bytes32 nameKeyHash) = abi.decode(entry.data, (address, bytes32));
            for (uint256 i; i < _nameKeys[id].length; ++i) {
                _hold(Property.Keys, _nameKeys[id][i].nameKeyHash != nameKeyHash, "setNameKey: used before");
            }
            _nameKeys[id].push(IRegistry.NameKey(nameKeyHash, uint40(block.timestamp), entry.sequence));
            ++_participants[id].nameKeys;
        } else {
            return false;
        }
        _hold(Property.Authority, may, "registry: not by an admin key");
        _aboutParticipant(entry, id);
        return true;
    }

    function _acceptKey(Entry memory entry) private {
        (uint32 id, address key) = (entry.participant, entry.key);
        Invitation memory invitation = _invited[key][id];
        bool standing = invitation.proposer != address(0) && invitation.generation == _participants[id].generation;
        bool by = invitation.first || (_isOf(id, invitation.proposer) && _keys[invitation.proposer].admin);
        _hold(Property.Keys, standing && by, "acceptKey: not proposed by an active admin key");
        _hold(Property.Authority, _isActive(id), "acceptKey: the participant may not act");
        (, uint16 roles, bool admin) = abi.decode(entry.data, (address, uint16, bool));
        bool same = roles == invitation.roles && admin == invitation.admin;
        _hold(Property.Keys, same, "acceptKey: more or less than was proposed");
        delete _invited[key][id];
        _addKey(id, key, roles, admin);
    }

    function _changeKey(Entry memory entry) private {
        (, address name, uint16 roles, bool admin) = abi.decode(entry.data, (address, address, uint16, bool));
        _hold(Property.Keys, _isOf(entry.participant, name), "setKey: not an active key of its own");
        IRegistry.Key storage key = _keys[name];
        IRegistry.Participant storage company = _participants[entry.participant];
        company.admins = company.admins + (admin ? 1 : 0) - (key.admin ? 1 : 0);
        (key.roles, key.admin) = (roles, admin);
        _touch(Part.Key, bytes32(uint256(uint160(name))));
    }

    function _revokeKey(Entry memory entry) private {
        (, address revoked, uint40 since) = abi.decode(entry.data, (address, address, uint40));
        IRegistry.Key storage key = _keys[revoked];
        _hold(Property.Keys, key.participant == entry.participant, "revokeKey: not a key of its own");
        if (key.revokedAt != 0) {
            bool earlier =
                since != 0 && since < key.revokedAt && (key.compromisedSince == 0 || since < key.compromisedSince);
            _hold(Property.Keys, earlier, "revokeKey: doubt taken back");
        } else {
            _endKey(revoked);
        }
        if (since != 0) {
            _hold(Property.Keys, since >= key.addedAt && since <= block.timestamp, "revokeKey: out of bounds");
            (key.compromisedSince, key.declaredAt) = (since, uint40(block.timestamp));
        }
        _touch(Part.Key, bytes32(uint256(uint160(revoked))));
    }

    function _recover(Entry memory entry) private {
        uint32 id = entry.participant;
        IRegistry.Recovery memory recovery = _recovering[id];
        bool due = recovery.key == entry.key && block.timestamp >= recovery.effectiveAt;
        _hold(Property.Keys, due, "acceptRecovery: another key, or too early");
        _hold(Property.Keys, !recovery.objected || recovery.overruled, "acceptRecovery: against an objection");
        delete _recovering[id];
        for (uint256 i; i < _keysOf[id].length; ++i) {
            if (_keys[_keysOf[id][i]].revokedAt == 0) _endKey(_keysOf[id][i]);
        }
        ++_participants[id].generation;
        _addKey(id, entry.key, Roles.ANY, true);
    }

    function _endKey(address name) private {
        IRegistry.Key storage key = _keys[name];
        key.revokedAt = uint40(block.timestamp);
        --_participants[key.participant].keys;
        if (key.admin) --_participants[key.participant].admins;
        _touch(Part.Key, bytes32(uint256(uint160(name))));
    }

    function _addKey(uint32 id, address key, uint16 roles, bool admin) private {
        _hold(Property.Keys, _keys[key].participant == 0, "registry: key changed hands");
        IRegistry.Participant storage company = _participants[id];
        _keys[key] = IRegistry.Key(id, roles, admin, company.generation, uint40(block.timestamp), 0, 0, 0);
        _keysOf[id].push(key);
        ++company.keys;
        if (admin) ++company.admins;
        _touch(Part.Key, bytes32(uint256(uint160(key))));
    }

    function _aboutParticipant(Entry memory entry, uint32 id) private {
        _hold(Property.Rebuilt, uint256(entry.subject) == id, "registry: record under another subject");
        _touch(Part.Participant, bytes32(uint256(id)));
    }

    function _compareMember(Touched memory touched) internal {
        uint256 name = uint256(touched.name);
        bool same;
        if (touched.part == Part.Participant) {
            same = _isParticipantSame(abi.decode(abi.encode(name), (uint32)));
        } else if (touched.part == Part.Publication) {
            uint16 kind = abi.decode(abi.encode(name), (uint16));
            same = _registry.publishedOf(kind) == _published[kind];
        } else {
            address key = abi.decode(abi.encode(name), (address));
            same = _same(abi.encode(_registry.keyOf(key)), abi.encode(_keys[key]));
        }
        _hold(Property.Rebuilt, same, "registry: storage differs from its logs");
    }

    function _isParticipantSame(uint32 id) private view returns (bool same) {
        same = _same(abi.encode(_registry.participantOf(id)), abi.encode(_participants[id]))
            && _same(abi.encode(_registry.recoveryOf(id)), abi.encode(_recovering[id]))
            && _registry.successor() == _successor;
        (uint40 since, uint32 trustee) = _registry.absenceOf(id);
        same = same && since == _participants[id].inactiveSince && trustee == _trustees[id];
        for (uint16 i; i < _nameKeys[id].length; ++i) {
            same = same && _same(abi.encode(_registry.nameKeyOf(id, i)), abi.encode(_nameKeys[id][i]));
        }
    }
}
