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

    function recoverVoucher(
        bytes32 channelId,
        Channel memory channel,
        uint256 amount,
        uint256 nonce,
        bytes calldata signature
    ) external view returns (address recovered, address expected) {
        return _recoverVoucher(channelId, channel, amount, nonce, signature);
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

    struct SessionVoucherVector {
        uint256 kind;
        address consumer;
        address provider;
        uint64 deposit;
        uint256 duration;
        address signer;
        bytes32 salt;
        bytes32 channelId;
        uint256 amount;
        uint256 nonce;
        bytes32 digest;
        bytes proof;
        bytes signature;
    }

    struct InvalidSessionVector {
        string name;
        bytes signature;
    }

    struct AuthorizationVector {
        address consumer;
        address provider;
        uint256 amount;
        uint256 duration;
        address signer;
        bytes32 salt;
        bytes32 channelId;
        bytes32 nonce;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 digest;
        bytes signature;
    }

    struct HashVector {
        uint256 chainId;
        address verifyingContract;
        address token;
        uint256 kind;
        address consumer;
        address provider;
        uint256 amount;
        uint256 duration;
        address signer;
        bytes32 salt;
        uint256 voucherAmount;
        uint256 nonce;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 opening;
        bytes32 channelId;
        bytes32 domainSeparator;
        bytes32 voucher;
        bytes32 closeAuthorization;
        bytes32 tokenDomainSeparator;
        bytes32 authorization;
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

    function sessionVouchers() private view returns (SessionVoucherVector[] memory vectors) {
        vectors = abi.decode(
            vm.parseJsonTypeArray(
                json,
                ".sessionVouchers",
                "V(uint256 kind,address consumer,address provider,uint256 deposit,uint256 duration,address signer,bytes32 salt,bytes32 channelId,uint256 amount,uint256 nonce,bytes32 digest,bytes proof,bytes signature)"
            ),
            (SessionVoucherVector[])
        );
        assertGt(vectors.length, 0);
    }

    function recover(SessionVoucherVector memory v, bytes memory signature)
        private
        view
        returns (address recovered, address expected)
    {
        DrainChannel.Channel memory channel = DrainChannel.Channel(v.consumer, v.deposit, 0, v.provider, 0);
        return drain.recoverVoucher(v.channelId, channel, v.amount, v.nonce, signature);
    }

    function test_vectors_sessionVouchers() public view {
        SessionVoucherVector[] memory vectors = sessionVouchers();
        for (uint256 i = 0; i < vectors.length; i++) {
            SessionVoucherVector memory v = vectors[i];
            assertEq(
                drain.computeChannelId(
                    v.kind, IDrainChannel.Opening(v.consumer, v.provider, v.deposit, v.duration, v.signer, v.salt)
                ),
                v.channelId
            );
            assertEq(drain.voucherDigest(v.channelId, v.amount, v.nonce), v.digest);
            assertEq(abi.encode(v.kind, v.duration, v.signer, v.salt), v.proof);
            (address recovered, address expected) = recover(v, v.signature);
            assertEq(recovered, v.signer);
            assertEq(expected, v.signer);
        }
    }

    function test_vectors_invalidSessionSignatures() public view {
        InvalidSessionVector[] memory vectors = abi.decode(
            vm.parseJsonTypeArray(json, ".invalidSessionSignatures", "V(string name,bytes signature)"),
            (InvalidSessionVector[])
        );
        assertGt(vectors.length, 0);
        for (uint256 i = 0; i < vectors.length; i++) {
            (address recovered, address expected) = recover(sessionVouchers()[2], vectors[i].signature);
            assertNotEq(recovered, expected, vectors[i].name);
        }
    }

    /// @dev With Circle's USDC, where the vectors have it: each authorization opens its channel.
    function test_vectors_authorizations() public {
        AuthorizationVector[] memory vectors = abi.decode(
            vm.parseJsonTypeArray(
                json,
                ".authorizations",
                "V(address consumer,address provider,uint256 amount,uint256 duration,address signer,bytes32 salt,bytes32 channelId,bytes32 nonce,uint256 validAfter,uint256 validBefore,bytes32 digest,bytes signature)"
            ),
            (AuthorizationVector[])
        );
        assertGt(vectors.length, 0);
        usdc = deployUsdcAt(vm.parseJsonAddress(json, ".tokenDomain.verifyingContract"));
        mintUsdc(vectors[0].consumer, 1_000_000e6);
        assertEq(usdc.DOMAIN_SEPARATOR(), vm.parseJsonBytes32(json, ".tokenDomain.domainSeparator"));
        drain = deployAt(address(drain));
        vm.warp(1_800_000_000);

        for (uint256 i = 0; i < vectors.length; i++) {
            AuthorizationVector memory v = vectors[i];
            IDrainChannel.Opening memory opening =
                IDrainChannel.Opening(v.consumer, v.provider, v.amount, v.duration, v.signer, v.salt);
            assertEq(drain.hashOpening(opening), v.nonce);
            assertEq(authorizationDigest(opening, v.validAfter, v.validBefore), v.digest);
            assertEq(drain.openWithAuthorization(opening, v.validAfter, v.validBefore, v.signature), v.channelId);
            assertTrue(usdc.authorizationState(v.consumer, v.nonce));
            (address consumer,, uint256 deposit,,) = drain.getChannel(v.channelId);
            assertEq(consumer, v.consumer);
            assertEq(deposit, v.amount);
        }
    }

    /// @dev What the contract has the token check; EIP-3009's words, not Circle's code.
    function authorizationDigest(IDrainChannel.Opening memory opening, uint256 validAfter, uint256 validBefore)
        private
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encodePacked(
                hex"1901",
                usdc.DOMAIN_SEPARATOR(),
                keccak256(
                    abi.encode(
                        usdc.RECEIVE_WITH_AUTHORIZATION_TYPEHASH(),
                        opening.consumer,
                        address(drain),
                        opening.amount,
                        validAfter,
                        validBefore,
                        drain.hashOpening(opening)
                    )
                )
            )
        );
    }

    /// @dev Everything that is hashed, over random input, on 200 chains, contracts and tokens.
    function test_vectors_hashes() public {
        HashVector[] memory vectors = abi.decode(
            vm.parseJsonTypeArray(
                vm.readFile("vectors/hashes.json"),
                ".hashes",
                "V(uint256 chainId,address contract,address token,uint256 kind,address consumer,address provider,uint256 amount,uint256 duration,address signer,bytes32 salt,uint256 voucherAmount,uint256 nonce,uint256 validAfter,uint256 validBefore,bytes32 opening,bytes32 channelId,bytes32 domainSeparator,bytes32 voucher,bytes32 closeAuthorization,bytes32 tokenDomainSeparator,bytes32 authorization)"
            ),
            (HashVector[])
        );
        assertEq(vectors.length, 200);
        bytes memory code = address(drain).code;
        for (uint256 i = 0; i < vectors.length; i++) {
            HashVector memory v = vectors[i];
            vm.chainId(v.chainId);
            vm.etch(v.verifyingContract, code);
            drain = DrainChannelInside(v.verifyingContract);
            usdc = deployUsdcAt(v.token);

            IDrainChannel.Opening memory opening =
                IDrainChannel.Opening(v.consumer, v.provider, v.amount, v.duration, v.signer, v.salt);
            assertEq(drain.hashOpening(opening), v.opening);
            assertEq(drain.computeChannelId(v.kind, opening), v.channelId);
            assertEq(drain.DOMAIN_SEPARATOR(), v.domainSeparator);
            assertEq(drain.voucherDigest(v.channelId, v.voucherAmount, v.nonce), v.voucher);
            assertEq(drain.closeAuthorizationDigest(v.channelId, v.voucherAmount), v.closeAuthorization);
            assertEq(usdc.DOMAIN_SEPARATOR(), v.tokenDomainSeparator);
            assertEq(authorizationDigest(opening, v.validAfter, v.validBefore), v.authorization);
        }
    }
}
