// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../interfaces/IRegistry.sol";
import {Members} from "./Members.sol";

/// @title Keys of participants: those that sign, how lost ones are replaced, and those that name
abstract contract Keys is Members {
    /// @inheritdoc IRegistry
    uint40 public constant RECOVERY_DELAY = 14 days;

    mapping(uint32 participant => Recovery) private _recoveries;
    mapping(uint32 participant => mapping(uint16 index => NameKey)) private _nameKeys;

    /// @inheritdoc IRegistry
    function proposeKey(address proposed, uint16 roles, bool admin) external {
        uint32 participant = _activeAdmin();
        _checkFree(proposed);
        _checkRights(roles, admin);
        uint16 generation = _participants[participant].generation;
        _proposed[proposed][participant] = Proposal(_msgSender(), roles, admin, false, generation);
        emit KeyProposed(++sequence, participant, _subject(participant), _msgSender(), proposed, roles, admin);
    }

    /// @inheritdoc IRegistry
    function acceptKey(uint32 participant) external {
        address key = _msgSender();
        Proposal memory proposal = _proposed[key][participant];
        Participant storage company = _participants[participant];
        bool lapsed = proposal.generation != company.generation || !(proposal.first || _isAdmin(proposal.proposer));
        if (proposal.proposer == address(0) || lapsed) revert RegistryKeyNotProposed(key, participant);
        _checkFree(key);
        _requireActive(participant, company);
        delete _proposed[key][participant];
        _addKey(participant, key, proposal.roles, proposal.admin);
        emit KeyAdded(++sequence, participant, _subject(participant), key, proposal.roles, proposal.admin);
    }

    /// @inheritdoc IRegistry
    function setKey(address changed, uint16 roles, bool admin) external {
        uint32 participant = _activeAdmin();
        Key storage key = _own(participant, changed);
        uint40 revokedAt = _revokedAt(key);
        if (revokedAt != 0) revert RegistryKeyRevoked(changed, revokedAt);
        _checkRights(roles, admin);
        if (key.admin && !admin) _dropAdmin(participant, changed);
        if (!key.admin && admin) ++_participants[participant].admins;
        (key.roles, key.admin) = (roles, admin);
        emit KeyChanged(++sequence, participant, _subject(participant), _msgSender(), changed, roles, admin);
    }

    /// @inheritdoc IRegistry
    function revokeKey(address revoked, uint40 compromisedSince) external {
        uint32 participant = _admin();
        Key storage key = _own(participant, revoked);
        uint40 revokedAt = _revokedAt(key);
        if (compromisedSince > block.timestamp) revert RegistryTimeInFuture(compromisedSince);
        if (compromisedSince != 0 && compromisedSince < key.addedAt) {
            revert RegistryTimeTooEarly(compromisedSince, key.addedAt);
        }
        if (revokedAt == 0) {
            if (key.admin) _dropAdmin(participant, revoked);
            key.revokedAt = uint40(block.timestamp);
            --_participants[participant].keys;
        } else if (!_isEarlier(compromisedSince, key, revokedAt)) {
            revert RegistryKeyRevoked(revoked, revokedAt);
        }
        if (compromisedSince != 0) {
            (key.compromisedSince, key.declaredAt) = (compromisedSince, uint40(block.timestamp));
        }
        emit KeyRevoked(++sequence, participant, _subject(participant), _msgSender(), revoked, compromisedSince);
    }

    /// @inheritdoc IRegistry
    function proposeRecovery(uint32 participant, address proposed) external onlyOwner {
        _existing(participant);
        _checkFree(proposed);
        uint40 effectiveAt = uint40(block.timestamp) + RECOVERY_DELAY;
        _recoveries[participant] = Recovery(proposed, effectiveAt, false, false);
        emit RecoveryProposed(++sequence, 0, _subject(participant), _msgSender(), participant, proposed, effectiveAt);
    }

    /// @inheritdoc IRegistry
    function objectToRecovery() external {
        uint32 participant = _activeAdmin();
        Recovery storage recovery = _recoveries[participant];
        if (recovery.key == address(0)) revert RegistryRecoveryNotProposed(participant, address(0), address(0));
        if (recovery.objected) revert RegistryRecoveryObjected(participant);
        uint40 effectiveAt = uint40(block.timestamp) + RECOVERY_DELAY;
        (recovery.objected, recovery.effectiveAt) = (true, effectiveAt);
        emit RecoveryObjected(++sequence, participant, _subject(participant), _msgSender(), effectiveAt);
    }

    /// @inheritdoc IRegistry
    function overruleObjection(uint32 participant) external onlyOwner {
        Recovery storage recovery = _recoveries[participant];
        if (!recovery.objected || recovery.overruled) revert RegistryRecoveryUndisputed(participant);
        _requireDue(participant, recovery);
        recovery.overruled = true;
        emit RecoveryOverruled(++sequence, 0, _subject(participant), _msgSender(), participant);
    }

    /// @inheritdoc IRegistry
    function acceptRecovery(uint32 participant) external {
        address key = _msgSender();
        Recovery storage recovery = _recoveries[participant];
        if (recovery.key != key) revert RegistryRecoveryNotProposed(participant, key, recovery.key);
        _requireDue(participant, recovery);
        if (recovery.objected && !recovery.overruled) revert RegistryRecoveryObjected(participant);
        _checkFree(key);
        delete _recoveries[participant];
        Participant storage company = _participants[participant];
        _endedAt[participant][company.generation++] = uint40(block.timestamp);
        (company.keys, company.admins) = (0, 0);
        _addKey(participant, key, ALL, true);
        emit RecoveryAccepted(++sequence, participant, _subject(participant), key);
    }

    /// @inheritdoc IRegistry
    function setNameKey(bytes32 nameKeyHash) external {
        uint32 participant = _activeAdmin();
        if (nameKeyHash == 0) revert RegistryDigestMissing();
        uint16 count = _participants[participant].nameKeys;
        for (uint16 i; i < count; ++i) {
            if (_nameKeys[participant][i].nameKeyHash == nameKeyHash) revert RegistryNameKeyUsed(participant, i);
        }
        _nameKeys[participant][count] = NameKey(nameKeyHash, uint40(block.timestamp), ++sequence);
        _participants[participant].nameKeys = count + 1;
        emit NameKeySet(sequence, participant, _subject(participant), _msgSender(), nameKeyHash);
    }

    /// @inheritdoc IRegistry
    function keyOf(address key) external view returns (Key memory entry) {
        entry = _keys[key];
        entry.revokedAt = _revokedAt(_keys[key]);
    }

    /// @inheritdoc IRegistry
    function recoveryOf(uint32 participant) external view returns (Recovery memory) {
        return _recoveries[participant];
    }

    /// @inheritdoc IRegistry
    function nameKeyOf(uint32 participant, uint16 index) external view returns (NameKey memory) {
        if (index >= _participants[participant].nameKeys) revert RegistryNameKeyUnknown(participant, index);
        return _nameKeys[participant][index];
    }

    // Inside

    function _addKey(uint32 participant, address key, uint16 roles, bool admin) private {
        Participant storage company = _participants[participant];
        _keys[key] = Key({
            participant: participant,
            roles: roles,
            admin: admin,
            generation: company.generation,
            addedAt: uint40(block.timestamp),
            revokedAt: 0,
            compromisedSince: 0,
            declaredAt: 0
        });
        ++company.keys;
        if (admin) ++company.admins;
    }

    function _dropAdmin(uint32 participant, address key) private {
        if (_participants[participant].admins == 1) revert RegistryLastAdminKey(participant, key);
        --_participants[participant].admins;
    }

    function _own(uint32 participant, address name) private view returns (Key storage key) {
        key = _keys[name];
        if (key.participant != participant) revert RegistryKeyForeign(name, key.participant);
    }

    /// @dev Whether an address is an active admin key. One that was revoked may have been in other hands.
    function _isAdmin(address name) private view returns (bool) {
        Key storage key = _keys[name];
        return key.admin && _revokedAt(key) == 0;
    }

    function _requireDue(uint32 participant, Recovery storage recovery) private view {
        if (block.timestamp < recovery.effectiveAt) revert RegistryRecoveryEarly(participant, recovery.effectiveAt);
    }

    /// @dev Whether the time makes more of what a revoked key signed doubtful than is so already.
    function _isEarlier(uint40 since, Key storage key, uint40 revokedAt) private view returns (bool) {
        uint40 known = key.compromisedSince == 0 ? revokedAt : key.compromisedSince;
        return since != 0 && since < known;
    }

    function _checkRights(uint16 roles, bool admin) private pure {
        if (roles != 0 || !admin) _checkRoles(roles);
    }
}
