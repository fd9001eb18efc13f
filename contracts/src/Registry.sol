// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC2771Context} from "@openzeppelin/contracts/metatx/ERC2771Context.sol";
import {Evaluator} from "./Evaluator.sol";
import {ModelCode} from "./ModelCode.sol";
import {IEvaluator} from "./interfaces/IEvaluator.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Roles} from "./libraries/Roles.sol";
import {Subjects} from "./libraries/Subjects.sol";
import {Keys} from "./registry/Keys.sol";

/// @title Registry of participants, keys, machines and models
/// @notice The manual is on the interface.
contract Registry is Keys {
    /// @inheritdoc IRegistry
    address public immutable predecessor;
    /// @inheritdoc IRegistry
    IEvaluator public immutable evaluator;

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

    // Machines

    /// @inheritdoc IRegistry
    function registerMachine(bytes32 identifierHash, bytes32 claimsRoot) external returns (uint40 machine) {
        uint32 participant = _actor(Roles.MANUFACTURER | Roles.INSPECTOR);
        bytes32 subject = Subjects.derive(Subjects.Kind.Machine, participant, identifierHash);
        machine = _take(subject);
        _machines[machine] = Machine({owner: participant, retiredAt: 0});
        emit MachineRegistered(machine, participant, _subject(machine), _msgSender(), identifierHash, claimsRoot);
    }

    /// @inheritdoc IRegistry
    function retireMachine(uint40 machine, bytes32 reasonRoot) external {
        uint32 participant = _actor(Roles.MANUFACTURER | Roles.INSPECTOR);
        uint32 owner_ = ownerOfMachine(machine);
        if (owner_ != participant) revert RegistryMachineForeign(machine, owner_);
        _machines[machine].retiredAt = uint40(block.timestamp);
        emit MachineRetired(++sequence, participant, _subject(machine), _msgSender(), machine, reasonRoot);
    }

    // Models

    /// @inheritdoc IRegistry
    function registerModel(bytes32 digest, bytes32 cardRoot) external returns (uint40 model) {
        uint32 participant = _actor(Roles.INSPECTOR);
        if (digest == 0) revert RegistryDigestMissing();
        model = _addModel(participant, digest, address(0));
        emit ModelRegistered(model, participant, _subject(model), _msgSender(), digest, cardRoot);
    }

    /// @inheritdoc IRegistry
    function publishModel(bytes calldata content, bytes32 cardRoot) external returns (uint40 model) {
        uint32 participant = _actor(Roles.INSPECTOR);
        evaluator.requireExecutable(content);
        (bytes32 digest, address code) = (sha256(content), address(new ModelCode(content)));
        model = _addModel(participant, digest, code);
        emit ModelPublished(model, participant, _subject(model), _msgSender(), digest, code, cardRoot);
    }

    /// @inheritdoc IRegistry
    function approveModel(uint40 model, bytes32 reportRoot) external {
        uint32 participant = _actor(Roles.AUDITOR);
        Model storage entry = _models[model];
        if (entry.state != ModelState.Registered) revert RegistryModelState(model, entry.state);
        if (entry.inspector == participant) revert RegistryModelOwnApproval(model, participant);
        entry.state = ModelState.Approved;
        entry.approver = participant;
        emit ModelApproved(++sequence, participant, _subject(model), _msgSender(), model, reportRoot);
    }

    /// @inheritdoc IRegistry
    function openModel(uint40 model, bool open) external {
        uint32 participant = _actor(Roles.INSPECTOR);
        Model storage entry = _ownModel(model, participant);
        if (entry.state > ModelState.Approved) revert RegistryModelState(model, entry.state);
        entry.open = open;
        emit ModelOpened(++sequence, participant, _subject(model), _msgSender(), model, open);
    }

    /// @inheritdoc IRegistry
    function retireModel(uint40 model, bytes32 reasonRoot) external {
        uint32 participant = _actor(Roles.INSPECTOR);
        Model storage entry = _ownModel(model, participant);
        if (entry.state != ModelState.Approved) revert RegistryModelState(model, entry.state);
        (entry.state, entry.retiredAt) = (ModelState.Retired, uint40(block.timestamp));
        emit ModelRetired(++sequence, participant, _subject(model), _msgSender(), model, reasonRoot);
    }

    /// @inheritdoc IRegistry
    function withdrawModel(uint40 model, uint40 defectiveSince, bytes32 reasonRoot) external {
        Model storage entry = _models[model];
        uint32 participant = _isAbandoned(entry) && _msgSender() == owner()
            ? 0  // the owner
            : _actor(Roles.INSPECTOR | Roles.AUDITOR);
        if (entry.state == ModelState.None || entry.state == ModelState.Withdrawn) {
            revert RegistryModelState(model, entry.state);
        }
        if (participant != 0) _requireWithdrawer(model, entry, participant);
        if (defectiveSince > block.timestamp) revert RegistryTimeInFuture(defectiveSince);
        entry.state = ModelState.Withdrawn;
        entry.withdrawnAt = uint40(block.timestamp);
        entry.defectiveSince = defectiveSince;
        emit ModelWithdrawn(++sequence, participant, _subject(model), _msgSender(), model, defectiveSince, reasonRoot);
    }

    // Reading

    /// @inheritdoc IRegistry
    function actorAndTaker(address key, uint32 to)
        external
        view
        returns (uint32 participant, uint16 roles, uint16 rolesOfTaker)
    {
        (participant, roles) = actorOf(key);
        rolesOfTaker = rolesOf(to);
    }

    /// @inheritdoc IRegistry
    function standingOf(uint32 coordinator, uint32 inspector, uint40 model)
        external
        view
        returns (uint16 coordinatorRoles, uint16 inspectorRoles, bool approved, bool open)
    {
        approved = _models[model].state == ModelState.Approved;
        return (rolesOf(coordinator), rolesOf(inspector), approved, successor == address(0));
    }

    /// @inheritdoc IRegistry
    function issuanceOf(address key, uint40 model)
        external
        view
        returns (uint32 participant, uint16 roles, uint40 countsFrom, uint40 countsBefore, uint40 standsBefore)
    {
        Key storage entry = _keys[key];
        (participant, countsFrom, countsBefore) = (entry.participant, entry.addedAt, entry.compromisedSince);
        if (participant != 0 && countsBefore == 0) countsBefore = type(uint40).max;
        roles = rolesOf(participant);
        Model storage on = _models[model];
        ModelState state;
        (state, standsBefore) = (on.state, on.defectiveSince);
        if (state == ModelState.Approved || state == ModelState.Retired) standsBefore = type(uint40).max;
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
    function modelFor(uint40 model, uint32 inspector) external view returns (ModelState state, bool usable) {
        Model storage entry = _models[model];
        uint32 owner_;
        (owner_, state, usable) = (entry.inspector, entry.state, entry.open);
        usable = usable || owner_ == inspector;
    }

    /// @inheritdoc IRegistry
    function sequenceOf(bytes32 subject) external view returns (uint40) {
        return _sequenceOf[subject];
    }

    // Inside

    function _addModel(uint32 participant, bytes32 digest, address code) private returns (uint40 model) {
        bytes32 subject = Subjects.derive(Subjects.Kind.Model, participant, digest);
        // What was retired or withdrawn keeps its number and its fate; the name passes to the new one.
        if (_models[_sequenceOf[subject]].state >= ModelState.Retired) _sequenceOf[subject] = 0;
        model = _take(subject);
        Model storage entry = _models[model];
        entry.inspector = participant;
        entry.state = ModelState.Registered;
        entry.digest = digest;
        entry.code = code;
    }

    function _ownModel(uint40 model, uint32 participant) private view returns (Model storage entry) {
        entry = _models[model];
        if (entry.state == ModelState.None) revert RegistryModelState(model, entry.state);
        if (entry.inspector != participant) revert RegistryModelForeign(model, entry.inspector, entry.approver);
    }

    /// @dev Whether neither its inspector nor its approver, if any, may act on it.
    function _isAbandoned(Model storage entry) private view returns (bool) {
        return rolesOf(entry.inspector) & Roles.INSPECTOR == 0 && rolesOf(entry.approver) & Roles.AUDITOR == 0;
    }

    function _requireWithdrawer(uint40 model, Model storage entry, uint32 participant) private view {
        (uint32 inspector, uint32 approver) = (entry.inspector, entry.approver);
        if (participant == inspector) {
            _actor(Roles.INSPECTOR);
            return;
        }
        bool anyAuditor = approver != 0 && rolesOf(approver) & Roles.AUDITOR == 0;
        if (participant != approver && !anyAuditor) revert RegistryModelForeign(model, inspector, approver);
        _actor(Roles.AUDITOR);
    }

    /// @dev Gives a subject the next sequence as its short name.
    function _take(bytes32 subject) private returns (uint40 current) {
        if (_sequenceOf[subject] != 0) revert RegistrySubjectTaken(subject, _sequenceOf[subject]);
        current = ++sequence;
        _sequenceOf[subject] = current;
    }
}
