// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {DrainChannel} from "../src/DrainChannel.sol";
import {IDrainChannel} from "../src/interfaces/IDrainChannel.sol";
import {UsdcTest} from "./Usdc.sol";

/// @notice Opens up what DrainChannel does inside.
contract DrainChannelInside is DrainChannel {
    constructor(IERC20 token_) DrainChannel(token_, address(0), 0) {}

    function voucherDigest(bytes32 channelId, uint256 amount, uint256 nonce) external view returns (bytes32) {
        return _voucherDigest(channelId, amount, nonce);
    }

    function closeAuthorizationDigest(bytes32 channelId, uint256 finalAmount) external view returns (bytes32) {
        return _closeAuthorizationDigest(channelId, finalAmount);
    }

    function hashOpening(Opening calldata opening) external pure returns (bytes32) {
        return _hashOpening(opening);
    }

    function requireSignature(address expected, bytes32 digest, bytes calldata signature) external pure {
        _requireSignature(expected, digest, signature);
    }
}

/// @notice Checks the contract against vectors/voucher.json, which the TypeScript packages are checked against too.
contract VectorsTest is UsdcTest {
    struct VoucherVector {
        bytes32 channelId;
        uint256 amount;
        uint256 nonce;
        bytes32 digest;
        address signer;
        bytes signature;
    }

    struct CloseAuthorizationVector {
        bytes32 channelId;
        uint256 finalAmount;
        bytes32 digest;
        address signer;
        bytes signature;
    }

    struct InvalidSignatureVector {
        string name;
        bytes32 digest;
        address signer;
        bytes signature;
    }

    struct OpeningVector {
        uint256 kind;
        address consumer;
        address provider;
        uint256 amount;
        uint256 duration;
        address signer;
        bytes32 salt;
        uint256 chainId;
        address verifyingContract;
        bytes32 opening;
        bytes32 channelId;
    }

    string private json;
    DrainChannelInside private drain;

    function setUp() public {
        json = vm.readFile("vectors/voucher.json");
        usdc = deployUsdc();
        vm.chainId(vm.parseJsonUint(json, ".domain.chainId"));
        drain = deployAt(vm.parseJsonAddress(json, ".domain.verifyingContract"));
    }

    function deployAt(address where) private returns (DrainChannelInside) {
        deployCodeTo("Vectors.t.sol:DrainChannelInside", abi.encode(usdc), where);
        return DrainChannelInside(where);
    }

    function test_vectors_domainSeparator() public view {
        assertEq(drain.DOMAIN_SEPARATOR(), vm.parseJsonBytes32(json, ".domain.domainSeparator"));
    }

    function test_vectors_vouchers() public view {
        VoucherVector[] memory vectors = abi.decode(
            vm.parseJsonTypeArray(
                json,
                ".vouchers",
                "V(bytes32 channelId,uint256 amount,uint256 nonce,bytes32 digest,address signer,bytes signature)"
            ),
            (VoucherVector[])
        );
        assertGt(vectors.length, 0);
        for (uint256 i = 0; i < vectors.length; i++) {
            VoucherVector memory v = vectors[i];
            assertEq(drain.voucherDigest(v.channelId, v.amount, v.nonce), v.digest);
            drain.requireSignature(v.signer, v.digest, v.signature);
        }
    }

    function test_vectors_closeAuthorizations() public view {
        CloseAuthorizationVector[] memory vectors = abi.decode(
            vm.parseJsonTypeArray(
                json,
                ".closeAuthorizations",
                "V(bytes32 channelId,uint256 finalAmount,bytes32 digest,address signer,bytes signature)"
            ),
            (CloseAuthorizationVector[])
        );
        assertGt(vectors.length, 0);
        for (uint256 i = 0; i < vectors.length; i++) {
            CloseAuthorizationVector memory v = vectors[i];
            assertEq(drain.closeAuthorizationDigest(v.channelId, v.finalAmount), v.digest);
            drain.requireSignature(v.signer, v.digest, v.signature);
        }
    }

    function test_vectors_invalidSignatures() public view {
        InvalidSignatureVector[] memory vectors = abi.decode(
            vm.parseJsonTypeArray(
                json, ".invalidSignatures", "V(string name,bytes32 digest,address signer,bytes signature)"
            ),
            (InvalidSignatureVector[])
        );
        assertGt(vectors.length, 0);
        for (uint256 i = 0; i < vectors.length; i++) {
            InvalidSignatureVector memory v = vectors[i];
            try drain.requireSignature(v.signer, v.digest, v.signature) {
                assertTrue(false, v.name);
            } catch (bytes memory reason) {
                // forge-lint: disable-next-line(unsafe-typecast)
                assertEq(bytes4(reason), IDrainChannel.InvalidSignature.selector, v.name);
            }
        }
    }

    function test_vectors_openings() public {
        OpeningVector[] memory vectors = abi.decode(
            vm.parseJsonTypeArray(
                json,
                ".openings",
                "V(uint256 kind,address consumer,address provider,uint256 amount,uint256 duration,address signer,bytes32 salt,uint256 chainId,address contract,bytes32 opening,bytes32 channelId)"
            ),
            (OpeningVector[])
        );
        assertGt(vectors.length, 0);
        for (uint256 i = 0; i < vectors.length; i++) {
            OpeningVector memory v = vectors[i];
            IDrainChannel.Opening memory opening =
                IDrainChannel.Opening(v.consumer, v.provider, v.amount, v.duration, v.signer, v.salt);
            vm.chainId(v.chainId);
            DrainChannelInside there = deployAt(v.verifyingContract);
            assertEq(there.hashOpening(opening), v.opening);
            assertEq(there.computeChannelId(v.kind, opening), v.channelId);
        }
    }
}
