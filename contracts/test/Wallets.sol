// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @notice A contract wallet whose signatures are `abi.encode(label, the owner's signature)`: bytes that only it can read.
contract Wallet is IERC1271 {
    address private immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (string memory label, bytes memory inner) = abi.decode(signature, (string, bytes));
        (address recovered,,) = ECDSA.tryRecover(hash, inner);
        return keccak256(bytes(label)) == keccak256("wallet") && recovered == owner
            ? IERC1271.isValidSignature.selector
            : bytes4(0xffffffff);
    }

    function execute(address target, bytes calldata call) external returns (bytes memory) {
        require(msg.sender == owner, "not the owner");
        (bool success, bytes memory answer) = target.call(call);
        require(success, "failed");
        return answer;
    }
}

/// @notice What an account delegates to by EIP-7702: its own key's signatures are good, as is.
contract Delegate is IERC1271 {
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (address recovered,,) = ECDSA.tryRecoverCalldata(hash, signature);
        return recovered == address(this) ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// @notice Another to delegate to, which knows nothing of signatures.
contract DelegateWithoutSignatures {}
