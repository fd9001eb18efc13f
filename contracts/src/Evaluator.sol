// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "./interfaces/ICertificates.sol";
import {IEvaluator} from "./interfaces/IEvaluator.sol";
import {ModelFormat} from "./libraries/ModelFormat.sol";
import {Network} from "./libraries/Network.sol";

/// @title Executes quality models
/// @notice The manual is on the interface. Created by the registry, which names it.
contract Evaluator is IEvaluator {
    bytes private constant INPUT_TAG = "millmark/input/1";
    bytes private constant INFERENCE_TAG = "millmark/infer/1";

    /// @inheritdoc IEvaluator
    function requireExecutable(bytes calldata model) external pure {
        ModelFormat.requireExecutable(model);
    }

    /// @inheritdoc IEvaluator
    function evaluate(address code, bytes calldata input)
        public
        view
        returns (ICertificates.Verdict verdict, int32[] memory logits)
    {
        bytes memory stored = code.code;
        if (stored.length == 0) revert EvaluatorCodeMissing(code);
        if (!Network.isValidInput(stored, input)) return (verdict, logits);
        logits = Network.execute(stored, input);
        verdict = Network.isRejected(stored, logits) ? ICertificates.Verdict.Fail : ICertificates.Verdict.Pass;
    }

    /// @inheritdoc IEvaluator
    function examine(bytes32 context, bytes32 modelDigest, address code, ICertificates.Inference calldata inference)
        external
        view
        returns (bytes32 digest, bool agrees, ICertificates.Verdict executed)
    {
        digest = _digestOf(context, modelDigest, inference);
        if (code == address(0)) return (digest, true, executed);
        int32[] memory logits;
        (executed, logits) = evaluate(code, inference.input);
        agrees = uint8(executed) == inference.verdict
            && keccak256(abi.encode(logits)) == keccak256(abi.encode(inference.logits));
    }

    /// @dev Byte by byte as in quality/FORMAT.md, sections 5 and 6.
    function _digestOf(bytes32 context, bytes32 modelDigest, ICertificates.Inference calldata inference)
        private
        pure
        returns (bytes32)
    {
        uint256 count = inference.logits.length;
        if (count > ModelFormat.MOST_LOGITS) revert EvaluatorLogitsTooMany(count, ModelFormat.MOST_LOGITS);
        bytes memory logits;
        for (uint256 i; i < count; ++i) {
            logits = abi.encodePacked(logits, inference.logits[i]);
        }
        bytes32 commitment = sha256(bytes.concat(INPUT_TAG, inference.salt, inference.input));
        bytes memory head = abi.encodePacked(INFERENCE_TAG, ModelFormat.VERSION, context, modelDigest, commitment);
        // forge-lint: disable-next-line(unsafe-typecast) - at most 32, see above
        return sha256(abi.encodePacked(head, uint16(count), logits, inference.verdict));
    }
}
