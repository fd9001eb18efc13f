// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Subjects} from "../../src/libraries/Subjects.sol";
import {MemberReplay} from "./MemberReplay.sol";

/// @notice The registry as its logs tell it.
abstract contract RegistryReplay is MemberReplay {
    uint40 internal _registrySequence;
    mapping(uint40 machine => IRegistry.Machine) internal _machines;
    mapping(uint40 model => IRegistry.Model) internal _models;
    mapping(bytes32 subject => uint40) internal _named;

    constructor(IRegistry registry_) MemberReplay(registry_) {}

    function _replayRegistry(Entry memory entry) internal {
        _hold(Property.Numbering, entry.sequence == ++_registrySequence, "registry: sequence has a gap");
        if (_applyOwner(entry) || _applyKey(entry) || _applyMachine(entry) || _applyModel(entry)) return;
        _hold(Property.Rebuilt, false, "registry: event of unknown kind");
    }

    function _applyMachine(Entry memory entry) private returns (bool) {
        uint40 machine = entry.sequence;
        uint16 needed = Roles.MANUFACTURER | Roles.INSPECTOR;
        if (entry.kind == IRegistry.MachineRegistered.selector) {
            _machines[machine].owner = entry.participant;
            (, bytes32 identifierHash,) = abi.decode(entry.data, (address, bytes32, bytes32));
            _name(entry, Subjects.Kind.Machine, identifierHash);
        } else if (entry.kind == IRegistry.MachineRetired.selector) {
            (, machine,) = abi.decode(entry.data, (address, uint40, bytes32));
            _hold(Property.Authority, _machines[machine].owner == entry.participant, "retireMachine: foreign");
            _machines[machine].retiredAt = uint40(block.timestamp);
        } else {
            return false;
        }
        _hold(Property.Authority, _mayAct(entry.participant, entry.key, needed), "machine: no authority");
        _aboutThing(entry, Part.Machine, machine);
        return true;
    }

    function _applyModel(Entry memory entry) private returns (bool) {
        uint40 number = entry.sequence;
        uint16 needed = Roles.INSPECTOR;
        if (entry.kind == IRegistry.ModelRegistered.selector) {
            IRegistry.Model storage model = _models[number];
            (, model.digest,) = abi.decode(entry.data, (address, bytes32, bytes32));
            (model.inspector, model.state) = (entry.participant, IRegistry.ModelState.Registered);
            _name(entry, Subjects.Kind.Model, model.digest);
        } else if (entry.kind == IRegistry.ModelPublished.selector) {
            IRegistry.Model storage model = _models[number];
            (, model.digest, model.code,) = abi.decode(entry.data, (address, bytes32, address, bytes32));
            (model.inspector, model.state) = (entry.participant, IRegistry.ModelState.Registered);
            _hold(Property.Models, _keeps(model.code, model.digest), "publishModel: the code is not the model");
            _name(entry, Subjects.Kind.Model, model.digest);
        } else if (entry.kind == IRegistry.ModelApproved.selector) {
            needed = Roles.AUDITOR;
            (, number,) = abi.decode(entry.data, (address, uint40, bytes32));
            IRegistry.Model storage model = _models[number];
            bool other = model.state == IRegistry.ModelState.Registered && model.inspector != entry.participant;
            _hold(Property.Models, other, "approveModel: not registered, or by its own inspector");
            (model.approver, model.state) = (entry.participant, IRegistry.ModelState.Approved);
        } else if (entry.kind == IRegistry.ModelOpened.selector) {
            bool open;
            (, number, open) = abi.decode(entry.data, (address, uint40, bool));
            IRegistry.Model storage model = _models[number];
            bool used = model.state == IRegistry.ModelState.Registered || model.state == IRegistry.ModelState.Approved;
            _hold(Property.Models, used, "openModel: no verdicts are given on it any longer");
            _hold(Property.Authority, entry.participant == model.inspector, "openModel: foreign");
            model.open = open;
        } else if (entry.kind == IRegistry.ModelRetired.selector) {
            (, number,) = abi.decode(entry.data, (address, uint40, bytes32));
            IRegistry.Model storage model = _models[number];
            _hold(Property.Models, model.state == IRegistry.ModelState.Approved, "retireModel: not approved");
            _hold(Property.Authority, entry.participant == model.inspector, "retireModel: foreign");
            (model.state, model.retiredAt) = (IRegistry.ModelState.Retired, uint40(block.timestamp));
        } else if (entry.kind == IRegistry.ModelWithdrawn.selector) {
            uint40 since;
            (, number, since,) = abi.decode(entry.data, (address, uint40, uint40, bytes32));
            needed = _withdraw(entry, number, since);
        } else {
            return false;
        }
        bool may = needed == 0 ? entry.key == _owner : _mayAct(entry.participant, entry.key, needed);
        _hold(Property.Authority, may, "model: no authority");
        _aboutThing(entry, Part.Model, number);
        return true;
    }

    /// @return needed The role that whoever withdrew must hold; 0: it is the owner.
    function _withdraw(Entry memory entry, uint40 number, uint40 since) private returns (uint16 needed) {
        IRegistry.Model storage model = _models[number];
        bool inspectorGone = _rolesOf(model.inspector) & Roles.INSPECTOR == 0;
        bool approverGone = _rolesOf(model.approver) & Roles.AUDITOR == 0;
        if (entry.participant == 0) {
            _hold(Property.Authority, inspectorGone && approverGone, "withdrawModel: by the owner without need");
        } else if (entry.participant == model.inspector) {
            needed = Roles.INSPECTOR;
        } else {
            needed = Roles.AUDITOR;
            bool may = entry.participant == model.approver || (model.approver != 0 && approverGone);
            _hold(Property.Authority, may, "withdrawModel: foreign");
        }
        bool inUse = model.state != IRegistry.ModelState.None && model.state != IRegistry.ModelState.Withdrawn;
        _hold(Property.Models, inUse, "withdrawModel: twice");
        model.state = IRegistry.ModelState.Withdrawn;
        (model.withdrawnAt, model.defectiveSince) = (uint40(block.timestamp), since);
        _afterWithdrawal(number);
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

    function _name(Entry memory entry, Subjects.Kind kind, bytes32 hash) private {
        bytes32 name = Subjects.derive(kind, entry.participant, hash);
        // A model's name is free again when the model is out of use.
        bool free = _named[name] == 0
            || (kind == Subjects.Kind.Model && _models[_named[name]].state >= IRegistry.ModelState.Retired);
        _hold(Property.Numbering, free, "registry: subject registered twice");
        _named[name] = entry.sequence;
        _touch(Part.Name, name);
    }

    function _aboutThing(Entry memory entry, Part part, uint40 number) private {
        _hold(Property.Rebuilt, uint256(entry.subject) == number, "registry: record under another subject");
        _touch(part, bytes32(uint256(number)));
    }

    function _compareRegistry(Touched memory touched) internal {
        if (touched.part == Part.Name) {
            bool same = _registry.sequenceOf(touched.name) == _named[touched.name];
            _hold(Property.Rebuilt, same, "registry: sequenceOf differs from its logs");
            return;
        }
        if (touched.part != Part.Machine && touched.part != Part.Model) return _compareMember(touched);
        uint40 number = abi.decode(abi.encode(touched.name), (uint40));
        bytes memory stored;
        bytes memory rebuilt;
        if (touched.part == Part.Machine) {
            (stored, rebuilt) = (abi.encode(_registry.machineOf(number)), abi.encode(_machines[number]));
        } else {
            (stored, rebuilt) = (abi.encode(_registry.modelOf(number)), abi.encode(_models[number]));
        }
        _hold(Property.Rebuilt, _same(stored, rebuilt), "registry: storage differs from its logs");
    }
}
