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
    function evaluate(address code, bytes calldata window)
        public
        view
        returns (ICertificates.Verdict verdict, int32[] memory logits)
    {
        bytes memory stored = code.code;
        if (stored.length == 0) revert EvaluatorCodeMissing(code);
        (bool valid, int256[] memory words) = Network.quantise(stored, window);
        if (!valid) return (verdict, logits);
        logits = Network.execute(stored, words);
        verdict = Network.isRejected(stored, logits) ? ICertificates.Verdict.Fail : ICertificates.Verdict.Pass;
    }

    /// @inheritdoc IEvaluator
    function examine(bytes32 context, bytes32 modelDigest, address code, ICertificates.Inference calldata inference)
        external
        view
        returns (bytes32 digest, bytes32 commitment, bool agrees, ICertificates.Verdict executed)
    {
        commitment = _commitmentOf(inference);
        digest = _digestOf(context, modelDigest, commitment, inference);
        if (code == address(0)) return (digest, commitment, true, executed);
        int32[] memory logits;
        (executed, logits) = evaluate(code, inference.window);
        agrees = uint8(executed) == inference.verdict
            && keccak256(abi.encode(logits)) == keccak256(abi.encode(inference.logits));
    }

    /// @dev Byte by byte as in quality/FORMAT.md, section 5.
    function _commitmentOf(ICertificates.Inference calldata inference) private pure returns (bytes32) {
        bytes calldata window = inference.window;
        // forge-lint: disable-next-line(unsafe-typecast) - a window that is wider is invalid for every model
        uint16 width = uint16(window.length >> 3);
        return sha256(abi.encodePacked(INPUT_TAG, inference.salt, width, window));
    }

    /// @dev Byte by byte as in quality/FORMAT.md, section 6.
    function _digestOf(
        bytes32 context,
        bytes32 modelDigest,
        bytes32 commitment,
        ICertificates.Inference calldata inference
    ) private pure returns (bytes32) {
        uint256 count = inference.logits.length;
        if (count > ModelFormat.MOST_LOGITS) revert EvaluatorLogitsTooMany(count, ModelFormat.MOST_LOGITS);
        bytes memory logits;
        for (uint256 i; i < count; ++i) {
            logits = abi.encodePacked(logits, inference.logits[i]);
        }
        bytes memory head = abi.encodePacked(INFERENCE_TAG, ModelFormat.VERSION, context, modelDigest, commitment);
        // forge-lint: disable-next-line(unsafe-typecast) - at most 32, see above
        return sha256(abi.encodePacked(head, uint16(count), logits, inference.verdict));
    }
}
