// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEvaluator} from "./IEvaluator.sol";

/// @title Who and what may act: participants, roles, keys, machines, models
/// @notice Every state change is one event with a dense `sequence` (1, 2, 3 ...), the acting participant (0 for the
/// owner), the subject and the acting key. All times are block timestamps in seconds. Every `...Root` is a claims root:
/// the commitment to an off-chain document, 0 for none; what the document says is not checked.
/// Participants, machines and models are known by number, here and elsewhere: a participant by its id, a machine or model
/// by the `sequence` of the record that registered it. The `subject` of a record is that number; of what the owner
/// publishes to all, 0.
interface IRegistry {
    enum ModelState {
        None,
        Registered,
        Approved,
        /// No new verdicts; those given stand.
        Retired,
        /// Its certificates fall.
        Withdrawn
    }

    struct Participant {
        /// Bit mask, see libraries/Roles.sol.
        uint16 roles;
        /// Number of active keys; 0 until the first key accepts.
        uint16 keys;
        /// How many of the active keys are admin keys; 0 only with `keys`.
        uint16 admins;
        /// Number of name keys so far; the current one has the index `nameKeys` - 1.
        uint16 nameKeys;
        /// Number of recoveries. Keys and proposals from before the latest one count no longer.
        uint16 generation;
        bool suspended;
        /// Left by its own act.
        bool departed;
        /// Of the admitting record; 0 when the participant does not exist.
        uint40 sequence;
        /// When it was suspended or left, in seconds; 0 while it may act.
        uint40 inactiveSince;
    }

    struct Key {
        uint32 participant;
        /// What the key may do, within its participant's roles: it acts with the roles that both have.
        uint16 roles;
        /// Whether it may propose, change and revoke its participant's keys.
        bool admin;
        /// Its participant's generation when it was added.
        uint16 generation;
        uint40 addedAt;
        /// 0 while the key is active.
        uint40 revokedAt;
        /// What was signed from then on is doubtful; 0 when the key was not declared compromised.
        uint40 compromisedSince;
        /// When `compromisedSince` was last declared; 0 when it never was.
        uint40 declaredAt;
    }

    struct NameKey {
        /// SHA-256 of the public key in compressed form.
        bytes32 nameKeyHash;
        /// What is recorded from then on takes its name from this key or a later one.
        uint40 setAt;
        /// Of the record that set it: machines with a lower number have their names from earlier keys.
        uint40 sequence;
    }

    struct Recovery {
        /// 0 when none is under way.
        address key;
        /// From then on the key may accept.
        uint40 effectiveAt;
        bool objected;
        bool overruled;
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
        /// Whether other inspectors may certify on it.
        bool open;
        /// 0 unless it was retired; stays when it is withdrawn after that.
        uint40 retiredAt;
        uint40 withdrawnAt;
        /// Verdicts since then are doubtful, all of them when it is 0; 0 unless withdrawn.
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
    event ParticipantDeparted(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, bytes32 claimsRoot
    );
    /// @param trustee 0: nobody any longer.
    event TrusteeNamed(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint32 absent,
        uint32 trustee
    );
    event KeyProposed(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        address proposed,
        uint16 roles,
        bool admin
    );
    /// @notice The new key is the one that signed.
    event KeyAdded(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint16 roles,
        bool admin
    );
    event KeyChanged(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        address changed,
        uint16 roles,
        bool admin
    );
    /// @notice Also when a revoked key is declared compromised; it stays revoked since the first time. A declaration's own
    /// time is that of this record.
    event KeyRevoked(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        address revoked,
        uint40 compromisedSince
    );
    event RecoveryProposed(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint32 recovered,
        address proposed,
        uint40 effectiveAt
    );
    event RecoveryObjected(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, uint40 effectiveAt
    );
    event RecoveryOverruled(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, uint32 recovered
    );
    /// @notice The key that signed is the participant's only one now, an admin key with all roles.
    event RecoveryAccepted(uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key);
    event NameKeySet(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, bytes32 nameKeyHash
    );
    event Published(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint16 kind,
        bytes32 digest
    );
    /// @notice `proposed` is offered the registry, 0 for an offer taken back. The key is the owner's.
    event OwnershipOffered(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, address proposed
    );
    /// @notice The key is the new owner's.
    event OwnershipAccepted(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, address previous
    );
    event Closed(
        uint40 indexed sequence, uint32 indexed participant, bytes32 indexed subject, address key, address ledger
    );
    event MachineRegistered(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        bytes32 identifierHash,
        bytes32 claimsRoot
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
    event ModelOpened(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint40 model,
        bool open
    );
    event ModelRetired(
        uint40 indexed sequence,
        uint32 indexed participant,
        bytes32 indexed subject,
        address key,
        uint40 model,
        bytes32 reasonRoot
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
    /// @notice A participant keeps at least one admin key.
    error RegistryLastAdminKey(uint32 participant, address key);
    /// @notice The key signs for its participant, but may not administer its keys.
    error RegistryKeyNotAdmin(address key, uint32 participant);
    /// @notice The key belongs to another participant.
    error RegistryKeyForeign(address key, uint32 participant);
    error RegistryParticipantUnknown(uint32 participant);
    error RegistryParticipantSuspended(uint32 participant);
    error RegistryParticipantDeparted(uint32 participant);
    /// @notice The participant is neither suspended nor departed.
    error RegistryParticipantActive(uint32 participant);
    /// @notice `key` is not the one that recovers the participant; `proposed` is, 0 for none.
    error RegistryRecoveryNotProposed(uint32 participant, address key, address proposed);
    /// @notice The recovery takes effect only at `effectiveAt`.
    error RegistryRecoveryEarly(uint32 participant, uint40 effectiveAt);
    /// @notice An admin key objected, and the owner has not overruled it.
    error RegistryRecoveryObjected(uint32 participant);
    /// @notice There is no objection to overrule.
    error RegistryRecoveryUndisputed(uint32 participant);
    /// @notice The participant has used that name key already, as its number `index`.
    error RegistryNameKeyUsed(uint32 participant, uint16 index);
    error RegistryNameKeyUnknown(uint32 participant, uint16 index);
    error RegistryKindMissing();
    /// @notice No new business begins on the ledgers of this registry; `successor` goes on.
    error RegistryClosed(address successor);
    /// @notice A successor is another address than 0 and this one.
    error RegistrySuccessorUnfit(address successor);
    /// @notice `held` lacks every role of `needed`.
    error RegistryRoleMissing(uint32 participant, uint16 held, uint16 needed);
    /// @notice A mask with bits that mean nothing, or with no role; an admin key may do without.
    error RegistryRolesInvalid(uint16 roles);
    /// @notice `since` lies in the future.
    error RegistryTimeInFuture(uint40 since);
    /// @notice `since` lies before the key was added, at `addedAt`.
    error RegistryTimeTooEarly(uint40 since, uint40 addedAt);
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
    /// @notice A model is retired and opened by its inspector, and withdrawn by its inspector or by who approved it.
    error RegistryModelForeign(uint40 model, uint32 inspector, uint32 approver);
    error RegistryDigestMissing();
    /// @notice The registry always has an owner: hand it over instead.
    error RegistryOwnerRequired();

    /// @notice Admits a company and proposes its first key, an admin key with all roles. Owner only; the id is the next
    /// number. The company acts once that key accepts; its existence is the owner's to check.
    function admit(uint16 roles, address firstKey, bytes32 claimsRoot) external returns (uint32 participant);
    /// @notice Replaces a participant's roles. Owner only. What it did before keeps standing.
    function setRoles(uint32 participant, uint16 roles) external;
    /// @notice Stops every key of a participant; its admin keys may still revoke keys. Owner only.
    function suspend(uint32 participant, bytes32 reasonRoot) external;
    /// @notice Names who may reclaim what a participant that may not act still holds, or, with 0, that nobody may any longer.
    /// Owner only. The ledger lets a trustee act 14 days after the participant could last; ends with its reinstatement.
    function entrust(uint32 participant, uint32 trustee) external;
    /// @notice Lets a participant act again that was suspended or has left. Owner only.
    function reinstate(uint32 participant) external;
    /// @notice The caller's participant leaves the consortium: its keys stop acting. What it did keeps standing. Admin key.
    /// @dev Its admin keys may still revoke keys, as those of a suspended participant.
    function depart(bytes32 claimsRoot) external;
    /// @notice Sets the digest that all should agree on, in place of the one of that kind before. Owner only.
    /// @param kind 1 is the directory of participants; others as the consortium agrees.
    function publish(uint16 kind, bytes32 digest) external;
    /// @notice Closes the ledgers of this registry for good: they take no new orders and receive no lots from outside. What
    /// is on them goes on to its end. Owner only.
    /// @param ledger The one that goes on, with a registry of its own; what it is is the owner's to check.
    function close(address ledger) external;

    /// @notice First half of adding a key: an admin key of the participant names it and what it may do. The proposal
    /// lapses when the proposing key is revoked or is an admin key no longer, and with a recovery.
    /// @param roles What the key may do, within the participant's roles, as they are at any time. 0 only for an admin key.
    function proposeKey(address proposed, uint16 roles, bool admin) external;
    /// @notice Second half: called with the new key itself, so that nobody claims a key that is not theirs. No role.
    function acceptKey(uint32 participant) external;
    /// @notice Replaces what an active key of the own participant may do. Admin key. The last admin key stays one.
    function setKey(address changed, uint16 roles, bool admin) external;
    /// @notice Ends a key of the own participant, never its last admin key. Admin key, also while the participant is
    /// suspended or has left. Called again for a key that is revoked, it declares that the key was compromised before
    /// that, or earlier than declared: doubt is never taken back.
    /// @dev A declaration reaches back to the key's addition at most. It is dated by its own record, `declaredAt`, so that
    /// a reader can tell a loss reported at once from one remembered years later. Changes by `setKey` are no bound: whoever
    /// holds a stolen admin key could otherwise make such a change, and what it signed before undeniable.
    /// @param compromisedSince Since when others may have used the key, in seconds; 0 when it is merely retired.
    function revokeKey(address revoked, uint40 compromisedSince) external;

    /// @notice Starts the recovery of a company that lost its keys, or lost them to somebody else. Owner only. `proposed`
    /// may accept after RECOVERY_DELAY. It replaces a recovery under way, with its whole delay.
    function proposeRecovery(uint32 participant, address proposed) external;
    /// @notice Objects to the recovery of the own participant: a second RECOVERY_DELAY begins, and the owner must overrule
    /// after it. Once for each recovery, until it is accepted. Admin key.
    function objectToRecovery() external;
    /// @notice Lets a recovery take effect in spite of an objection, after the second delay. Owner only; meant for a
    /// supermajority of a council.
    function overruleObjection(uint32 participant) external;
    /// @notice Completes a recovery, called with the proposed key: it becomes the participant's only key, an admin key with
    /// all roles. All keys before it end, and so do their proposals. No role. A suspended participant stays so.
    function acceptRecovery(uint32 participant) external;

    /// @notice Sets the hash of the public key from which the participant's salts derive from now on. Admin key. Earlier
    /// ones stay readable, with the time since when each counts; none is used twice.
    function setNameKey(bytes32 nameKeyHash) external;

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
    /// INSPECTOR. A model has one registration by each inspector, this one or by its digest, and another one, as a new
    /// number, after it was retired or withdrawn.
    /// @dev Reverts with an IEvaluator error when the bytes are not canonical, or not executable on chain.
    /// @param content The model's canonical bytes.
    /// @return model The sequence of this record: the model's short name.
    function publishModel(bytes calldata content, bytes32 cardRoot) external returns (uint40 model);
    /// @notice Approves a model of another participant. AUDITOR.
    function approveModel(uint40 model, bytes32 reportRoot) external;
    /// @notice Lets other inspectors certify on the model, or no longer. Its inspector (INSPECTOR), until it is retired or
    /// withdrawn.
    function openModel(uint40 model, bool open) external;
    /// @notice Ends the use of an approved model for good: no new verdicts, those given stand. Its inspector (INSPECTOR).
    function retireModel(uint40 model, bytes32 reasonRoot) external;
    /// @notice Withdraws a model for good; certificates issued on it fall at once. Its inspector (INSPECTOR) or its approver
    /// (AUDITOR); any AUDITOR once the approver lacks AUDITOR; the owner once neither inspector nor approver, if any, has
    /// its role.
    /// @param defectiveSince Since when its verdicts are doubtful, in seconds; 0 when all are.
    function withdrawModel(uint40 model, uint40 defectiveSince, bytes32 reasonRoot) external;

    /// @notice Number of records so far, and the sequence of the latest.
    function sequence() external view returns (uint40);
    /// @notice The registry that this one replaces; 0 for the first.
    function predecessor() external view returns (address);
    /// @notice The ledger that goes on where this registry's end; 0 while this one is open.
    function successor() external view returns (address);
    /// @notice Executes published models. Created with the registry, never changed.
    function evaluator() external view returns (IEvaluator);
    /// @notice How long a recovery, and an objection to one, must be in the open.
    function RECOVERY_DELAY() external view returns (uint40);
    /// @notice Who signs with `key` now, and with which roles: those that the key and its participant both have.
    /// @dev Reverts with RegistryKeyUnknown, RegistryKeyRevoked, RegistryParticipantSuspended or RegistryParticipantDeparted.
    function actorOf(address key) external view returns (uint32 participant, uint16 roles);
    /// @notice The roles a participant may use now: 0 when unknown, suspended or departed.
    function rolesOf(uint32 participant) external view returns (uint16 roles);
    /// @notice What an offer is checked against, in one call: `actorOf` the key, and `rolesOf` whom it is made to.
    /// @dev Reverts as `actorOf`.
    function actorAndTaker(address key, uint32 to)
        external
        view
        returns (uint32 participant, uint16 roles, uint16 rolesOfTaker);
    /// @notice What an order's terms are checked against, in one call; `approved` says whether the model is, `open` whether
    /// new business may begin: no successor is named.
    function standingOf(uint32 coordinator, uint32 inspector, uint40 model)
        external
        view
        returns (uint16 coordinatorRoles, uint16 inspectorRoles, bool approved, bool open);
    /// @notice What a gate asks about certificates that `key` signed on `model`, whenever that was, in one call.
    /// @return participant Of the key; 0 when the key is unknown.
    /// @return roles What that participant may do now, as `rolesOf`.
    /// @return countsFrom When the key became the participant's.
    /// @return countsBefore What the key signed before this time counts: since then it is declared compromised. 0 when it
    /// is unknown, the greatest time when it is not declared. Whether it was revoked does not matter.
    /// @return standsBefore Verdicts given on the model before this time stand: since then it was defective. The greatest
    /// time when it is approved or retired; 0 for 0, an unknown model, and one that was never approved.
    function issuanceOf(address key, uint40 model)
        external
        view
        returns (uint32 participant, uint16 roles, uint40 countsFrom, uint40 countsBefore, uint40 standsBefore);
    function participantOf(uint32 participant) external view returns (Participant memory);
    /// @notice Since when a participant may not act, 0 while it may, and who is its trustee, 0 for nobody.
    function absenceOf(uint32 participant) external view returns (uint40 inactiveSince, uint32 trustee);
    /// @notice A key, with `revokedAt` also when it ended by a recovery; zeros when unknown.
    function keyOf(address key) external view returns (Key memory);
    /// @notice The recovery under way; zeros for none.
    function recoveryOf(uint32 participant) external view returns (Recovery memory);
    /// @notice The participant's name key with an index below `nameKeys`.
    /// @dev Reverts with RegistryNameKeyUnknown.
    function nameKeyOf(uint32 participant, uint16 index) external view returns (NameKey memory);
    /// @notice The digest published last of a kind; 0 for none.
    function publishedOf(uint16 kind) external view returns (bytes32);
    /// @dev Reverts with RegistryMachineUnknown.
    function machineOf(uint40 machine) external view returns (Machine memory);
    /// @dev Reverts with RegistryModelUnknown.
    function modelOf(uint40 model) external view returns (Model memory);
    /// @notice The owner of a machine in service.
    /// @dev Reverts with RegistryMachineUnknown or RegistryMachineRetired.
    function ownerOfMachine(uint40 machine) external view returns (uint32 owner);
    /// @notice The state of a model; None when unknown.
    function stateOfModel(uint40 model) external view returns (ModelState state);
    /// @notice The state of a model, None when unknown, and whether `inspector` may certify on it.
    function modelFor(uint40 model, uint32 inspector) external view returns (ModelState state, bool usable);
    /// @notice The sequence under which a machine or model was registered last; 0 when it was not.
    function sequenceOf(bytes32 subject) external view returns (uint40);
}
