// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {Roles} from "../libraries/Roles.sol";

/// @title Participants, and who acts for them
abstract contract Members is IRegistry, Ownable2Step, ERC2771Context, Multicall {
    /// @dev Of a key that may do all that its participant may.
    uint16 internal constant ALL = Roles.ANY;

    struct Proposal {
        /// The admin key that proposed; the owner's address when `first`.
        address proposer;
        uint16 roles;
        bool admin;
        /// By the owner, at admission.
        bool first;
        uint16 generation;
    }

    /// @inheritdoc IRegistry
    uint40 public sequence;
    uint32 private _participantCount;
    /// @inheritdoc IRegistry
    address public successor;
    mapping(uint32 participant => Participant) internal _participants;
    mapping(address key => Key) internal _keys;
    mapping(address key => mapping(uint32 participant => Proposal)) internal _proposed;
    /// @dev When all keys of a generation that were not revoked ended, by a recovery.
    mapping(uint32 participant => mapping(uint16 generation => uint40)) internal _endedAt;
    mapping(uint16 kind => bytes32 digest) private _published;
    /// @dev Who may reclaim what an absent participant holds.
    mapping(uint32 participant => uint32) private _trustees;

    /// @inheritdoc IRegistry
    function admit(uint16 roles, address firstKey, bytes32 claimsRoot) external onlyOwner returns (uint32 participant) {
        _checkRoles(roles);
        _checkFree(firstKey);
        participant = ++_participantCount;
        uint40 current = ++sequence;
        Participant storage company = _participants[participant];
        (company.roles, company.sequence) = (roles, current);
        _proposed[firstKey][participant] = Proposal(_msgSender(), ALL, true, true, 0);
        emit ParticipantAdmitted(
            current, 0, _subject(participant), _msgSender(), participant, roles, firstKey, claimsRoot
        );
    }

    /// @inheritdoc IRegistry
    function setRoles(uint32 participant, uint16 roles) external onlyOwner {
        _checkRoles(roles);
        _existing(participant).roles = roles;
        emit RolesSet(++sequence, 0, _subject(participant), _msgSender(), participant, roles);
    }

    /// @inheritdoc IRegistry
    function suspend(uint32 participant, bytes32 reasonRoot) external onlyOwner {
        Participant storage company = _existing(participant);
        _requireActive(participant, company);
        (company.suspended, company.inactiveSince) = (true, uint40(block.timestamp));
        emit ParticipantSuspended(++sequence, 0, _subject(participant), _msgSender(), participant, reasonRoot);
    }

    /// @inheritdoc IRegistry
    function entrust(uint32 participant, uint32 trustee) external onlyOwner {
        if (_existing(participant).inactiveSince == 0) revert RegistryParticipantActive(participant);
        if (trustee != 0) _requireActive(trustee, _existing(trustee));
        _trustees[participant] = trustee;
        emit TrusteeNamed(++sequence, 0, _subject(participant), _msgSender(), participant, trustee);
    }

    /// @inheritdoc IRegistry
    function reinstate(uint32 participant) external onlyOwner {
        Participant storage company = _existing(participant);
        if (!company.suspended && !company.departed) revert RegistryParticipantActive(participant);
        (company.suspended, company.departed, company.inactiveSince) = (false, false, 0);
        _trustees[participant] = 0;
        emit ParticipantReinstated(++sequence, 0, _subject(participant), _msgSender(), participant);
    }

    /// @inheritdoc IRegistry
    function depart(bytes32 claimsRoot) external {
        uint32 participant = _activeAdmin();
        Participant storage company = _participants[participant];
        (company.departed, company.inactiveSince) = (true, uint40(block.timestamp));
        emit ParticipantDeparted(++sequence, participant, _subject(participant), _msgSender(), claimsRoot);
    }

    /// @inheritdoc IRegistry
    function publish(uint16 kind, bytes32 digest) external onlyOwner {
        if (kind == 0) revert RegistryKindMissing();
        if (digest == 0) revert RegistryDigestMissing();
        _published[kind] = digest;
        emit Published(++sequence, 0, 0, _msgSender(), kind, digest);
    }

    /// @inheritdoc IRegistry
    function close(address ledger) external onlyOwner {
        if (successor != address(0)) revert RegistryClosed(successor);
        if (ledger == address(0) || ledger == address(this)) revert RegistrySuccessorUnfit(ledger);
        successor = ledger;
        emit Closed(++sequence, 0, 0, _msgSender(), ledger);
    }

    /// @notice Offers the registry to another owner, who must accept. Replaces an offer under way; 0 takes it back.
    function transferOwnership(address proposed) public override {
        super.transferOwnership(proposed);
        emit OwnershipOffered(++sequence, 0, 0, _msgSender(), proposed);
    }

    /// @notice Takes the registry over. Called by whom it is offered to.
    function acceptOwnership() public override {
        address previous = owner();
        super.acceptOwnership();
        emit OwnershipAccepted(++sequence, 0, 0, _msgSender(), previous);
    }

    /// @dev The registry never goes without an owner.
    function renounceOwnership() public view override onlyOwner {
        revert RegistryOwnerRequired();
    }

    /// @inheritdoc IRegistry
    function actorOf(address key) public view returns (uint32 participant, uint16 roles) {
        Key storage entry = _keys[key];
        (uint16 generation, uint40 revokedAt) = (0, 0);
        (participant, roles, generation, revokedAt) =
        (entry.participant, entry.roles, entry.generation, entry.revokedAt);
        if (participant == 0) revert RegistryKeyUnknown(key);
        Participant storage company = _participants[participant];
        // In one statement, so that the slot is read once: every record of the ledger pays for this.
        (uint16 held, uint16 current, uint40 inactiveSince) = (company.roles, company.generation, company.inactiveSince);
        if (revokedAt != 0 || generation != current) revert RegistryKeyRevoked(key, _revokedAt(entry));
        if (inactiveSince != 0) _requireActive(participant, company);
        roles &= held;
    }

    /// @inheritdoc IRegistry
    function rolesOf(uint32 participant) public view returns (uint16 roles) {
        Participant storage company = _participants[participant];
        uint40 inactiveSince;
        (roles, inactiveSince) = (company.roles, company.inactiveSince);
        if (inactiveSince != 0) roles = 0;
    }

    /// @inheritdoc IRegistry
    function participantOf(uint32 participant) external view returns (Participant memory) {
        return _participants[participant];
    }

    /// @inheritdoc IRegistry
    function absenceOf(uint32 participant) external view returns (uint40 inactiveSince, uint32 trustee) {
        return (_participants[participant].inactiveSince, _trustees[participant]);
    }

    /// @inheritdoc IRegistry
    function publishedOf(uint16 kind) external view returns (bytes32) {
        return _published[kind];
    }

    // Inside

    function _actor(uint16 needed) internal view returns (uint32 participant) {
        uint16 held;
        (participant, held) = actorOf(_msgSender());
        if (held & needed == 0) revert RegistryRoleMissing(participant, held, needed);
    }

    /// @dev The participant whose admin key calls, whether or not the participant may act.
    function _admin() internal view returns (uint32 participant) {
        address sender = _msgSender();
        Key storage key = _keys[sender];
        participant = key.participant;
        if (participant == 0) revert RegistryKeyUnknown(sender);
        uint40 revokedAt = _revokedAt(key);
        if (revokedAt != 0) revert RegistryKeyRevoked(sender, revokedAt);
        if (!key.admin) revert RegistryKeyNotAdmin(sender, participant);
    }

    function _activeAdmin() internal view returns (uint32 participant) {
        participant = _admin();
        _requireActive(participant, _participants[participant]);
    }

    function _requireActive(uint32 participant, Participant storage company) internal view {
        (bool suspended, bool departed) = (company.suspended, company.departed);
        if (suspended) revert RegistryParticipantSuspended(participant);
        if (departed) revert RegistryParticipantDeparted(participant);
    }

    function _existing(uint32 participant) internal view returns (Participant storage company) {
        company = _participants[participant];
        if (company.sequence == 0) revert RegistryParticipantUnknown(participant);
    }

    /// @dev When the key ended, by its revocation or by a recovery; 0 while it is active.
    function _revokedAt(Key storage key) internal view returns (uint40) {
        (uint32 participant, uint16 generation, uint40 revokedAt) = (key.participant, key.generation, key.revokedAt);
        return revokedAt != 0 ? revokedAt : _endedAt[participant][generation];
    }

    /// @dev A revoked key stays taken: what it signed must keep one meaning.
    function _checkFree(address key) internal view {
        if (key == address(0) || _keys[key].participant != 0) revert RegistryKeyTaken(key, _keys[key].participant);
    }

    function _checkRoles(uint16 roles) internal pure {
        if (roles == 0 || roles & ~Roles.ANY != 0) revert RegistryRolesInvalid(roles);
    }

    function _subject(uint256 number) internal pure returns (bytes32) {
        return bytes32(number);
    }

    // The sender as the forwarder vouches for it.

    function _msgSender() internal view override(Context, ERC2771Context) returns (address) {
        return ERC2771Context._msgSender();
    }

    function _msgData() internal view override(Context, ERC2771Context) returns (bytes calldata) {
        return ERC2771Context._msgData();
    }

    function _contextSuffixLength() internal view override(Context, ERC2771Context) returns (uint256) {
        return ERC2771Context._contextSuffixLength();
    }
}
