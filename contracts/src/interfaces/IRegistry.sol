// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEvaluator} from "./IEvaluator.sol";

/// @title Who and what may act: participants, roles, keys, machines, models
/// @notice Every state change is one event with a dense `sequence` (1, 2, 3 ...), the acting participant (0 for the
/// owner), the subject and the acting key. All times are block timestamps in seconds. Every `...Root` is a claims root:
/// the commitment to an off-chain document, 0 for none; what the document says is not checked.
/// Machines and models are known elsewhere by the `sequence` of the record that registered them.
interface IRegistry {
    enum ModelState {
        None,
        Registered,
        Approved,
        Withdrawn
    }

    struct Participant {
        /// Bit mask, see libraries/Roles.sol.
        uint16 roles;
        /// Number of keys that are not revoked; never 0 once admitted.
        uint16 keys;
        bool suspended;
        /// Of the admitting record; 0 when the participant does not exist.
        uint40 sequence;
    }

    struct Key {
        uint32 participant;
        uint40 addedAt;
        /// 0 while the key is active.
        uint40 revokedAt;
        /// What was signed from then on is doubtful; 0 when the key was not declared compromised.
        uint40 compromisedSince;
    }

    struct Machine {
        uint32 owner;
        /// 0 while the machine is in service.
        uint40 retiredAt;
    }

    struct Model {
        uint32 inspector;
        /// 0 until approved.
        uint32 approver;
        ModelState state;
        uint40 withdrawnAt;
        /// Verdicts since then are doubtful; 0 unless withdrawn.
        uint40 defectiveSince;
        /// sha256 of the model's canonical bytes.
        bytes32 digest;
        /// Contract whose code is a zero byte and these bytes; 0 when the model is registered by its digest alone, and
        /// so is audited off chain only.
        address code;
    }

    event ParticipantAdmitted(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint32 admitted,
        uint16 roles,
        address firstKey,
        bytes32 claimsRoot
    );
    event RolesSet(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint32 changed,
        uint16 roles
    );
    event ParticipantSuspended(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint32 suspended,
        bytes32 reasonRoot
    );
    event ParticipantReinstated(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, uint32 reinstated
    );
    event KeyProposed(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, address proposed
    );
    event KeyAdded(uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key);
    /// @notice Also when a revoked key is declared compromised; it stays revoked since the first time.
    event KeyRevoked(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        address revoked,
        uint40 compromisedSince
    );
    event MachineRegistered(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, bytes32 claimsRoot
    );
    event MachineRetired(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint40 machine,
        bytes32 reasonRoot
    );
    event ModelRegistered(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32 digest,
        bytes32 cardRoot
    );
    event ModelPublished(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32 digest,
        address code,
        bytes32 cardRoot
    );
    event ModelApproved(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint40 model,
        bytes32 reportRoot
    );
    event ModelWithdrawn(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint40 model,
        uint40 defectiveSince,
        bytes32 reasonRoot
    );

    /// @notice The key signs for nobody.
    error RegistryKeyUnknown(address key);
    /// @notice The key stopped signing for its participant, and nothing earlier is declared of it.
    error RegistryKeyRevoked(address key, uint40 revokedAt);
    /// @notice The address signs, or signed, for a participant already: a key serves one participant, once.
    error RegistryKeyTaken(address key, uint32 participant);
    /// @notice No such proposal is open, or it lapsed with the key that made it: the participant must call `proposeKey`.
    error RegistryKeyNotProposed(address key, uint32 participant);
    /// @notice A participant keeps at least one key.
    error RegistryLastKey(uint32 participant, address key);
    /// @notice The key belongs to another participant.
    error RegistryKeyForeign(address key, uint32 participant);
    error RegistryParticipantUnknown(uint32 participant);
    error RegistryParticipantSuspended(uint32 participant);
    error RegistryParticipantNotSuspended(uint32 participant);
    /// @notice `held` lacks every role of `needed`.
    error RegistryRoleMissing(uint32 participant, uint16 held, uint16 needed);
    /// @notice A mask with no role, or with bits that mean nothing.
    error RegistryRolesInvalid(uint16 roles);
    /// @notice `since` lies in the future.
    error RegistryTimeInFuture(uint40 since);
    /// @notice The same creator registered that subject before, as `sequence`.
    error RegistrySubjectTaken(bytes32 subject, uint40 sequence);
    error RegistryMachineUnknown(uint40 machine);
    error RegistryMachineForeign(uint40 machine, uint32 owner);
    error RegistryMachineRetired(uint40 machine, uint40 retiredAt);
    error RegistryModelUnknown(uint40 model);
    /// @notice The move is not allowed from `state`.
    error RegistryModelState(uint40 model, ModelState state);
    /// @notice A model is approved by another participant than its own inspector.
    error RegistryModelOwnApproval(uint40 model, uint32 inspector);
    /// @notice A model is withdrawn by its inspector or by who approved it.
    error RegistryModelForeign(uint40 model, uint32 inspector, uint32 approver);
    error RegistryDigestMissing();
    /// @notice The registry always has an owner: hand it over instead.
    error RegistryOwnerRequired();

    /// @notice Admits a company with its first key. Owner only; the id is the next number. The key's consent and the
    /// company's existence are the owner's to check.
    function admit(uint16 roles, address firstKey, bytes32 claimsRoot) external returns (uint32 participant);
    /// @notice Replaces a participant's roles. Owner only. What it did before keeps standing.
    function setRoles(uint32 participant, uint16 roles) external;
    /// @notice Stops every key of a participant. Owner only.
    function suspend(uint32 participant, bytes32 reasonRoot) external;
    /// @notice Lets a suspended participant act again. Owner only.
    function reinstate(uint32 participant) external;

    /// @notice First half of adding a key: an active key of the participant names it. Any role. The proposal lapses when
    /// the proposing key is revoked.
    function proposeKey(address proposed) external;
    /// @notice Second half: called with the new key itself, so that nobody claims a key that is not theirs. No role.
    function acceptKey(uint32 participant) external;
    /// @notice Ends a key of the own participant, never its last. Any role. Called again for a key that is revoked, it
    /// declares that the key was compromised before that, or earlier than declared: doubt is never taken back.
    /// @param compromisedSince Since when others may have used the key, in seconds; 0 when it is merely retired.
    function revokeKey(address revoked, uint40 compromisedSince) external;

    /// @notice Registers a machine of the caller. MANUFACTURER or INSPECTOR.
    /// @return machine The sequence of this record: the machine's short name.
    function registerMachine(bytes32 identifierHash, bytes32 claimsRoot) external returns (uint40 machine);
    /// @notice Takes a machine of the caller out of service for good. MANUFACTURER or INSPECTOR.
    function retireMachine(uint40 machine, bytes32 reasonRoot) external;

    /// @notice Registers a quality model by its digest: it can be audited off chain. INSPECTOR.
    /// @param digest sha256 of the model's canonical bytes; that such bytes exist is not checked.
    /// @return model The sequence of this record: the model's short name.
    function registerModel(bytes32 digest, bytes32 cardRoot) external returns (uint40 model);
    /// @notice Registers a quality model and keeps it as contract code, so that its verdicts can be executed on chain.
    /// INSPECTOR. A model has one registration by each inspector: this one, or by its digest.
    /// @dev Reverts with an IEvaluator error when the bytes are not canonical, or not executable on chain.
    /// @param content The model's canonical bytes.
    /// @return model The sequence of this record: the model's short name.
    function publishModel(bytes calldata content, bytes32 cardRoot) external returns (uint40 model);
    /// @notice Approves a model of another participant. AUDITOR.
    function approveModel(uint40 model, bytes32 reportRoot) external;
    /// @notice Withdraws a model for good; every certificate issued on it falls at once. Its inspector (INSPECTOR)
    /// or its approver (AUDITOR).
    function withdrawModel(uint40 model, uint40 defectiveSince, bytes32 reasonRoot) external;

    /// @notice Number of records so far, and the sequence of the latest.
    function sequence() external view returns (uint40);
    /// @notice The registry that this one replaces; 0 for the first.
    function predecessor() external view returns (address);
    /// @notice Executes published models. Created with the registry, never changed.
    function evaluator() external view returns (IEvaluator);
    /// @notice Who signs with `key` now, and with which roles.
    /// @dev Reverts with RegistryKeyUnknown, RegistryKeyRevoked or RegistryParticipantSuspended.
    function actorOf(address key) external view returns (uint32 participant, uint16 roles);
    /// @notice The roles a participant may use now: 0 when unknown or suspended.
    function rolesOf(uint32 participant) external view returns (uint16 roles);
    /// @notice What an offer is checked against, in one call: `actorOf` the key, `rolesOf` whom it is made to, and
    /// `stateOfModel` of the gate's model.
    /// @dev Reverts as `actorOf`.
    function partiesOf(address key, uint32 to, uint40 model)
        external
        view
        returns (uint32 participant, uint16 roles, uint16 rolesOfTaker, ModelState state);
    /// @notice What an order's terms are checked against, in one call.
    function standingOf(uint32 coordinator, uint32 inspector, uint40 model)
        external
        view
        returns (uint16 coordinatorRoles, uint16 inspectorRoles, ModelState state);
    function participantOf(uint32 participant) external view returns (Participant memory);
    function keyOf(address key) external view returns (Key memory);
    /// @dev Reverts with RegistryMachineUnknown.
    function machineOf(uint40 machine) external view returns (Machine memory);
    /// @dev Reverts with RegistryModelUnknown.
    function modelOf(uint40 model) external view returns (Model memory);
    /// @notice The owner of a machine in service.
    /// @dev Reverts with RegistryMachineUnknown or RegistryMachineRetired.
    function ownerOfMachine(uint40 machine) external view returns (uint32 owner);
    /// @notice The state of a model; None when unknown.
    function stateOfModel(uint40 model) external view returns (ModelState state);
    /// @notice The sequence under which a machine or model was registered; 0 when it was not.
    function sequenceOf(bytes32 subject) external view returns (uint40);
}
