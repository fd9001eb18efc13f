// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {Evaluator} from "./Evaluator.sol";
import {ModelCode} from "./ModelCode.sol";
import {IEvaluator} from "./interfaces/IEvaluator.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Roles} from "./libraries/Roles.sol";
import {Subjects} from "./libraries/Subjects.sol";

/// @title Registry of participants, keys, machines and models
/// @notice The manual is on the interface.
contract Registry is IRegistry, Ownable2Step, ERC2771Context, Multicall {
    /// @inheritdoc IRegistry
    address public immutable predecessor;
    /// @inheritdoc IRegistry
    IEvaluator public immutable evaluator;

    /// @inheritdoc IRegistry
    uint40 public sequence;
    uint32 private _participantCount;
    mapping(uint32 participant => Participant) private _participants;
    mapping(address key => Key) private _keys;
    mapping(address key => mapping(uint32 participant => address proposer)) private _proposed;
    mapping(uint40 machine => Machine) private _machines;
    mapping(uint40 model => Model) private _models;
    mapping(bytes32 subject => uint40) private _sequenceOf;

    /// @param owner_ Admits and suspends; meant to be a multisig.
    /// @param forwarder_ ERC-2771 forwarder whose word on the sender is taken; 0 for none.
    /// @param predecessor_ The registry that this one replaces; 0 for the first.
    constructor(address owner_, address forwarder_, address predecessor_) Ownable(owner_) ERC2771Context(forwarder_) {
        predecessor = predecessor_;
        evaluator = new Evaluator();
    }

    // Participants

    /// @inheritdoc IRegistry
    function admit(uint16 roles, address firstKey, bytes32 claimsRoot) external onlyOwner returns (uint32 participant) {
        _checkRoles(roles);
        _checkFree(firstKey);
        participant = ++_participantCount;
        uint40 current = ++sequence;
        _participants[participant] = Participant({roles: roles, keys: 0, suspended: false, sequence: current});
        _addKey(participant, firstKey);
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
        if (company.suspended) revert RegistryParticipantSuspended(participant);
        company.suspended = true;
        emit ParticipantSuspended(++sequence, 0, _subject(participant), _msgSender(), participant, reasonRoot);
    }

    /// @inheritdoc IRegistry
    function reinstate(uint32 participant) external onlyOwner {
        Participant storage company = _existing(participant);
        if (!company.suspended) revert RegistryParticipantNotSuspended(participant);
        company.suspended = false;
        emit ParticipantReinstated(++sequence, 0, _subject(participant), _msgSender(), participant);
    }

    /// @dev The registry never goes without an owner.
    function renounceOwnership() public view override onlyOwner {
        revert RegistryOwnerRequired();
    }

    // Keys

    /// @inheritdoc IRegistry
    function proposeKey(address proposed) external {
        uint32 participant = _actor(Roles.ANY);
        _checkFree(proposed);
        _proposed[proposed][participant] = _msgSender();
        emit KeyProposed(++sequence, participant, _subject(participant), _msgSender(), proposed);
    }

    /// @inheritdoc IRegistry
    function acceptKey(uint32 participant) external {
        address key = _msgSender();
        address proposer = _proposed[key][participant];
        // A revoked key may have been in other hands: what it proposed lapses with it.
        if (proposer == address(0) || _keys[proposer].revokedAt != 0) revert RegistryKeyNotProposed(key, participant);
        _checkFree(key);
        if (_participants[participant].suspended) revert RegistryParticipantSuspended(participant);
        delete _proposed[key][participant];
        _addKey(participant, key);
        emit KeyAdded(++sequence, participant, _subject(participant), key);
    }

    /// @inheritdoc IRegistry
    function revokeKey(address revoked, uint40 compromisedSince) external {
        uint32 participant = _actor(Roles.ANY);
        Key storage key = _keys[revoked];
        if (key.participant != participant) revert RegistryKeyForeign(revoked, key.participant);
        if (compromisedSince > block.timestamp) revert RegistryTimeInFuture(compromisedSince);
        if (key.revokedAt == 0) {
            if (_participants[participant].keys == 1) revert RegistryLastKey(participant, revoked);
            key.revokedAt = uint40(block.timestamp);
            --_participants[participant].keys;
        } else if (!_isEarlier(compromisedSince, key)) {
            revert RegistryKeyRevoked(revoked, key.revokedAt);
        }
        key.compromisedSince = compromisedSince;
        emit KeyRevoked(++sequence, participant, _subject(participant), _msgSender(), revoked, compromisedSince);
    }

    // Machines

    /// @inheritdoc IRegistry
    function registerMachine(bytes32 identifierHash, bytes32 claimsRoot) external returns (uint40 machine) {
        uint32 participant = _actor(Roles.MANUFACTURER | Roles.INSPECTOR);
        bytes32 subject = Subjects.derive(Subjects.Kind.Machine, participant, identifierHash);
        machine = _take(subject);
        _machines[machine] = Machine({owner: participant, retiredAt: 0});
        emit MachineRegistered(machine, participant, subject, _msgSender(), claimsRoot);
    }

    /// @inheritdoc IRegistry
    function retireMachine(uint40 machine, bytes32 reasonRoot) external {
        uint32 participant = _actor(Roles.MANUFACTURER | Roles.INSPECTOR);
        uint32 owner_ = ownerOfMachine(machine);
        if (owner_ != participant) revert RegistryMachineForeign(machine, owner_);
        _machines[machine].retiredAt = uint40(block.timestamp);
        emit MachineRetired(++sequence, participant, bytes32(uint256(machine)), _msgSender(), machine, reasonRoot);
    }

    // Models

    /// @inheritdoc IRegistry
    function registerModel(bytes32 digest, bytes32 cardRoot) external returns (uint40 model) {
        uint32 participant = _actor(Roles.INSPECTOR);
        if (digest == 0) revert RegistryDigestMissing();
        bytes32 subject;
        (model, subject) = _addModel(participant, digest, address(0));
        emit ModelRegistered(model, participant, subject, _msgSender(), digest, cardRoot);
    }

    /// @inheritdoc IRegistry
    function publishModel(bytes calldata content, bytes32 cardRoot) external returns (uint40 model) {
        uint32 participant = _actor(Roles.INSPECTOR);
        evaluator.requireExecutable(content);
        (bytes32 digest, address code) = (sha256(content), address(new ModelCode(content)));
        bytes32 subject;
        (model, subject) = _addModel(participant, digest, code);
        emit ModelPublished(model, participant, subject, _msgSender(), digest, code, cardRoot);
    }

    /// @inheritdoc IRegistry
    function approveModel(uint40 model, bytes32 reportRoot) external {
        uint32 participant = _actor(Roles.AUDITOR);
        Model storage entry = _models[model];
        if (entry.state != ModelState.Registered) revert RegistryModelState(model, entry.state);
        if (entry.inspector == participant) revert RegistryModelOwnApproval(model, participant);
        entry.state = ModelState.Approved;
        entry.approver = participant;
        emit ModelApproved(++sequence, participant, bytes32(uint256(model)), _msgSender(), model, reportRoot);
    }

    /// @inheritdoc IRegistry
    function withdrawModel(uint40 model, uint40 defectiveSince, bytes32 reasonRoot) external {
        uint32 participant = _actor(Roles.INSPECTOR | Roles.AUDITOR);
        Model storage entry = _models[model];
        if (entry.state == ModelState.None || entry.state == ModelState.Withdrawn) {
            revert RegistryModelState(model, entry.state);
        }
        if (participant != entry.inspector && participant != entry.approver) {
            revert RegistryModelForeign(model, entry.inspector, entry.approver);
        }
        _actor(participant == entry.inspector ? Roles.INSPECTOR : Roles.AUDITOR);
        if (defectiveSince > block.timestamp) revert RegistryTimeInFuture(defectiveSince);
        entry.state = ModelState.Withdrawn;
        entry.withdrawnAt = uint40(block.timestamp);
        entry.defectiveSince = defectiveSince;
        emit ModelWithdrawn(
            ++sequence, participant, bytes32(uint256(model)), _msgSender(), model, defectiveSince, reasonRoot
        );
    }

    // Reading

    /// @inheritdoc IRegistry
    function actorOf(address key) public view returns (uint32 participant, uint16 roles) {
        Key storage entry = _keys[key];
        uint40 revokedAt;
        (participant, revokedAt) = (entry.participant, entry.revokedAt);
        if (participant == 0) revert RegistryKeyUnknown(key);
        if (revokedAt != 0) revert RegistryKeyRevoked(key, revokedAt);
        Participant storage company = _participants[participant];
        bool suspended;
        (roles, suspended) = (company.roles, company.suspended);
        if (suspended) revert RegistryParticipantSuspended(participant);
    }

    /// @inheritdoc IRegistry
    function rolesOf(uint32 participant) public view returns (uint16 roles) {
        Participant storage company = _participants[participant];
        bool suspended;
        (roles, suspended) = (company.roles, company.suspended);
        if (suspended) roles = 0;
    }

    /// @inheritdoc IRegistry
    function partiesOf(address key, uint32 to, uint40 model)
        external
        view
        returns (uint32 participant, uint16 roles, uint16 rolesOfTaker, ModelState state)
    {
        (participant, roles) = actorOf(key);
        (rolesOfTaker, state) = (rolesOf(to), _models[model].state);
    }

    /// @inheritdoc IRegistry
    function standingOf(uint32 coordinator, uint32 inspector, uint40 model)
        external
        view
        returns (uint16 coordinatorRoles, uint16 inspectorRoles, ModelState state)
    {
        return (rolesOf(coordinator), rolesOf(inspector), _models[model].state);
    }

    /// @inheritdoc IRegistry
    function participantOf(uint32 participant) external view returns (Participant memory) {
        return _participants[participant];
    }

    /// @inheritdoc IRegistry
    function keyOf(address key) external view returns (Key memory) {
        return _keys[key];
    }

    /// @inheritdoc IRegistry
    function machineOf(uint40 machine) external view returns (Machine memory) {
        if (_machines[machine].owner == 0) revert RegistryMachineUnknown(machine);
        return _machines[machine];
    }

    /// @inheritdoc IRegistry
    function modelOf(uint40 model) external view returns (Model memory) {
        if (_models[model].state == ModelState.None) revert RegistryModelUnknown(model);
        return _models[model];
    }

    /// @inheritdoc IRegistry
    function ownerOfMachine(uint40 machine) public view returns (uint32 owner_) {
        Machine storage entry = _machines[machine];
        uint40 retiredAt;
        (owner_, retiredAt) = (entry.owner, entry.retiredAt);
        if (owner_ == 0) revert RegistryMachineUnknown(machine);
        if (retiredAt != 0) revert RegistryMachineRetired(machine, retiredAt);
    }

    /// @inheritdoc IRegistry
    function stateOfModel(uint40 model) external view returns (ModelState state) {
        return _models[model].state;
    }

    /// @inheritdoc IRegistry
    function sequenceOf(bytes32 subject) external view returns (uint40) {
        return _sequenceOf[subject];
    }

    // Inside

    function _actor(uint16 needed) private view returns (uint32 participant) {
        uint16 held;
        (participant, held) = actorOf(_msgSender());
        if (held & needed == 0) revert RegistryRoleMissing(participant, held, needed);
    }

    function _existing(uint32 participant) private view returns (Participant storage company) {
        company = _participants[participant];
        if (company.sequence == 0) revert RegistryParticipantUnknown(participant);
    }

    function _addKey(uint32 participant, address key) private {
        _keys[key] =
            Key({participant: participant, addedAt: uint40(block.timestamp), revokedAt: 0, compromisedSince: 0});
        ++_participants[participant].keys;
    }

    function _addModel(uint32 participant, bytes32 digest, address code)
        private
        returns (uint40 model, bytes32 subject)
    {
        subject = Subjects.derive(Subjects.Kind.Model, participant, digest);
        model = _take(subject);
        Model storage entry = _models[model];
        entry.inspector = participant;
        entry.state = ModelState.Registered;
        entry.digest = digest;
        entry.code = code;
    }

    /// @dev Whether the time makes more of what a revoked key signed doubtful than is so already.
    function _isEarlier(uint40 since, Key storage key) private view returns (bool) {
        uint40 known = key.compromisedSince == 0 ? key.revokedAt : key.compromisedSince;
        return since != 0 && since < known;
    }

    /// @dev A revoked key stays taken: what it signed must keep one meaning.
    function _checkFree(address key) private view {
        if (key == address(0) || _keys[key].participant != 0) revert RegistryKeyTaken(key, _keys[key].participant);
    }

    function _checkRoles(uint16 roles) private pure {
        if (roles == 0 || roles & ~Roles.ANY != 0) revert RegistryRolesInvalid(roles);
    }

    /// @dev Gives a subject the next sequence as its short name.
    function _take(bytes32 subject) private returns (uint40 current) {
        if (_sequenceOf[subject] != 0) revert RegistrySubjectTaken(subject, _sequenceOf[subject]);
        current = ++sequence;
        _sequenceOf[subject] = current;
    }

    function _subject(uint32 participant) private pure returns (bytes32) {
        return bytes32(uint256(participant));
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
