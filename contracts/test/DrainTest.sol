// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "forge-std/Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {DrainChannel} from "../src/DrainChannel.sol";
import {IDrainChannel} from "../src/interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "../src/interfaces/IPaymentChannel.sol";
import {UsdcTest} from "./Usdc.sol";

/// @notice A DrainChannel without a fee on Circle's USDC, a consumer with funds and an allowance, and a provider.
/// @dev Digests are computed here from the words of the specification, not by the contract under test.
abstract contract DrainTest is UsdcTest {
    uint256 internal constant DEPOSIT = 10_000_000; // 10 USDC
    uint256 internal constant DURATION = 1 days;
    uint256 internal constant NOW = 1_800_000_000;
    uint256 internal constant EXPIRY = NOW + DURATION; // of a channel from openChannel()

    Account internal consumer = makeAccount("consumer");
    Account internal provider = makeAccount("provider");
    Account internal sessionKey = makeAccount("session key");
    Account internal stranger = makeAccount("stranger");
    address internal relayer = makeAddr("relayer");
    address internal feeRecipient = makeAddr("fee recipient");

    IDrainChannel internal drain;

    function setUp() public virtual {
        vm.warp(NOW);
        usdc = deployUsdc();
        drain = deployDrain(address(0), 0);
        fund(consumer.addr, 1_000_000e6);
    }

    // ------------------------------------------------------------------------------------------------- steps of a test

    function deployDrain(address recipient, uint16 bps) internal returns (IDrainChannel) {
        return new DrainChannel(IERC20(address(usdc)), recipient, bps);
    }

    /// @dev Mints and lets the contract under test pull.
    function fund(address who, uint256 amount) internal {
        mintUsdc(who, amount);
        approveDrain(who);
    }

    function approveDrain(address who) internal {
        vm.prank(who);
        usdc.approve(address(drain), type(uint256).max);
    }

    function openChannel() internal returns (bytes32) {
        return openChannel(DEPOSIT, DURATION);
    }

    function openChannel(uint256 amount, uint256 duration) internal returns (bytes32) {
        vm.prank(consumer.addr);
        return drain.open(provider.addr, amount, duration);
    }

    function openWithSigner() internal returns (bytes32) {
        vm.prank(consumer.addr);
        return drain.openWithSigner(provider.addr, DEPOSIT, DURATION, sessionKey.addr);
    }

    /// @dev What a relayed channel of this test is opened with.
    function relayedOpening(bytes32 salt) internal view returns (IDrainChannel.Opening memory) {
        return IDrainChannel.Opening(consumer.addr, provider.addr, DEPOSIT, DURATION, sessionKey.addr, salt);
    }

    /// @dev What openWithSigner() opens with as the consumer's `nonce`th.
    function directOpening(uint256 nonce) internal view returns (IDrainChannel.Opening memory) {
        return relayedOpening(bytes32(nonce));
    }

    /// @dev The relayer opens, with the consumer's authorization, valid from the start for ten minutes.
    function openWithAuthorization(IDrainChannel.Opening memory opening) internal returns (bytes32) {
        bytes memory signature = signAuthorization(consumer, opening, 0, NOW + 10 minutes);
        vm.prank(relayer);
        return drain.openWithAuthorization(opening, 0, NOW + 10 minutes, signature);
    }

    /// @dev The provider claims with a fresh voucher.
    function claim(bytes32 channelId, uint256 amount) internal {
        bytes memory signature = signVoucher(consumer, channelId, amount, 1);
        vm.prank(provider.addr);
        drain.claim(channelId, amount, 1, signature);
    }

    function claimAndClose(bytes32 channelId, uint256 amount) internal {
        bytes memory signature = signVoucher(consumer, channelId, amount, 1);
        vm.prank(provider.addr);
        drain.claimAndClose(channelId, amount, 1, amount, signature);
    }

    function cooperativeClose(bytes32 channelId, uint256 finalAmount) internal {
        bytes memory signature = signCloseAuthorization(provider, channelId, finalAmount);
        vm.prank(consumer.addr);
        drain.cooperativeClose(channelId, finalAmount, signature);
    }

    function close(bytes32 channelId) internal {
        vm.prank(consumer.addr);
        drain.close(channelId);
    }

    // ------------------------------------------------------------------------------------------------------ signatures

    function domainSeparator(address verifyingContract, uint256 chainId) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("DrainChannel"),
                keccak256("1"),
                chainId,
                verifyingContract
            )
        );
    }

    function voucherHash(bytes32 channelId, uint256 amount, uint256 nonce) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(keccak256("Voucher(bytes32 channelId,uint256 amount,uint256 nonce)"), channelId, amount, nonce)
        );
    }

    function closeAuthorizationHash(bytes32 channelId, uint256 finalAmount) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(keccak256("CloseAuthorization(bytes32 channelId,uint256 finalAmount)"), channelId, finalAmount)
        );
    }

    function typedDataHash(bytes32 separator, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }

    /// @dev The digest of a struct for the contract under test on the current chain.
    function digestOf(bytes32 structHash) internal view returns (bytes32) {
        return typedDataHash(domainSeparator(address(drain), block.chainid), structHash);
    }

    function sign(Account memory signer, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(signer.key, digest);
        return abi.encodePacked(r, s, v);
    }

    function signVoucher(Account memory signer, bytes32 channelId, uint256 amount, uint256 nonce)
        internal
        view
        returns (bytes memory)
    {
        return sign(signer, digestOf(voucherHash(channelId, amount, nonce)));
    }

    function signCloseAuthorization(Account memory signer, bytes32 channelId, uint256 finalAmount)
        internal
        view
        returns (bytes memory)
    {
        return sign(signer, digestOf(closeAuthorizationHash(channelId, finalAmount)));
    }

    function hashOpening(IDrainChannel.Opening memory opening) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256(
                    "Opening(address consumer,address provider,uint256 amount,uint256 duration,address signer,bytes32 salt)"
                ),
                opening.consumer,
                opening.provider,
                opening.amount,
                opening.duration,
                opening.signer,
                opening.salt
            )
        );
    }

    /// @dev Kind 0 is a direct opening, 1 a relayed one.
    function idOf(uint256 kind, IDrainChannel.Opening memory opening) internal view returns (bytes32) {
        return keccak256(abi.encode(kind, block.chainid, address(drain), hashOpening(opening)));
    }

    /// @dev What goes behind a session key's signature.
    function proofOf(uint256 kind, IDrainChannel.Opening memory opening) internal pure returns (bytes memory) {
        return abi.encode(kind, opening.duration, opening.signer, opening.salt);
    }

    function signWithProof(Account memory signer, bytes32 channelId, uint256 amount, uint256 nonce, bytes memory proof)
        internal
        view
        returns (bytes memory)
    {
        return bytes.concat(signVoucher(signer, channelId, amount, nonce), proof);
    }

    /// @dev The digest that the token has the payer of a relayed opening sign.
    function authorizationDigest(IDrainChannel.Opening memory opening, uint256 validAfter, uint256 validBefore)
        internal
        view
        returns (bytes32)
    {
        return authorizationDigest(
            opening.consumer, address(drain), opening.amount, validAfter, validBefore, hashOpening(opening)
        );
    }

    function authorizationDigest(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce
    ) internal view returns (bytes32) {
        bytes32 typeHash = keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        bytes32 structHash = keccak256(abi.encode(typeHash, from, to, value, validAfter, validBefore, nonce));
        return typedDataHash(usdc.DOMAIN_SEPARATOR(), structHash);
    }

    function signAuthorization(
        Account memory signer,
        IDrainChannel.Opening memory opening,
        uint256 validAfter,
        uint256 validBefore
    ) internal view returns (bytes memory) {
        return sign(signer, authorizationDigest(opening, validAfter, validBefore));
    }

    /// @dev Forms of the signer's own signature that another library might accept.
    function malformedSignatures(Account memory signer, bytes32 digest) internal pure returns (bytes[] memory forms) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(signer.key, digest);
        bytes32 highS = bytes32(SECP256K1_ORDER - uint256(s));
        uint8 otherV = v == 27 ? 28 : 27;
        bytes32 compactS = v == 27 ? s : bytes32(uint256(s) | 1 << 255);

        forms = new bytes[](14);
        forms[0] = "";
        forms[1] = abi.encodePacked(r, s); // without v
        forms[2] = abi.encodePacked(r, compactS); // EIP-2098
        forms[3] = abi.encodePacked(r, s, v, uint8(0)); // 66 bytes
        forms[4] = abi.encodePacked(uint8(0), r, s, v);
        forms[5] = abi.encodePacked(r, s, uint8(v - 27)); // v 0 or 1
        forms[6] = abi.encodePacked(r, s, uint8(v + 2)); // v 29 or 30
        forms[7] = abi.encodePacked(r, s, uint8(v + 10)); // EIP-155, chain 1
        forms[8] = abi.encodePacked(r, highS, otherV); // the same signature, malleated
        forms[9] = abi.encodePacked(r, highS, v);
        forms[10] = abi.encodePacked(r, s, otherV);
        forms[11] = abi.encodePacked(bytes32(0), s, v);
        forms[12] = abi.encodePacked(r, bytes32(0), v);
        forms[13] = abi.encodePacked(bytes32(0), bytes32(0), uint8(0)); // ecrecover gives zero
    }

    // ------------------------------------------------------------------------------------------------------ assertions

    function assertChannel(
        bytes32 channelId,
        address consumer_,
        address provider_,
        uint256 deposit,
        uint256 claimed,
        uint256 expiry
    ) internal view {
        (address c, address p, uint256 d, uint256 cl, uint256 e) = drain.getChannel(channelId);
        assertEq(c, consumer_, "consumer");
        assertEq(p, provider_, "provider");
        assertEq(d, deposit, "deposit");
        assertEq(cl, claimed, "claimed");
        assertEq(e, expiry, "expiry");
    }

    /// @dev A channel from openChannel().
    function assertClaimed(bytes32 channelId, uint256 claimed) internal view {
        assertChannel(channelId, consumer.addr, provider.addr, DEPOSIT, claimed, EXPIRY);
    }

    function assertNoChannel(bytes32 channelId) internal view {
        assertChannel(channelId, address(0), address(0), 0, 0, 0);
        assertEq(drain.getBalance(channelId), 0, "balance");
    }

    function assertUsdc(address who, uint256 amount) internal view {
        assertEq(usdc.balanceOf(who), amount, vm.getLabel(who));
    }

    // --------------------------------------------------------------------------------------------------------- reverts

    function expectChannelNotFound(bytes32 channelId) internal {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ChannelNotFound.selector, channelId));
    }

    function expectNotProvider(address caller) internal {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NotProvider.selector, caller, provider.addr));
    }

    function expectNotConsumer(address caller) internal {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NotConsumer.selector, caller, consumer.addr));
    }

    /// @dev Recovered from a well-formed signature of something else, or by someone else.
    function expectInvalidSignature() internal {
        vm.expectPartialRevert(IDrainChannel.InvalidSignature.selector);
    }

    function expectInvalidSignature(address recovered, address expected) internal {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidSignature.selector, recovered, expected));
    }

    // ---------------------------------------------------------------------------------------------------------- events

    function expectClaimed(bytes32 channelId, uint256 amount) internal {
        vm.expectEmit(address(drain));
        emit IPaymentChannel.ChannelClaimed(channelId, provider.addr, amount);
    }

    function expectClosed(bytes32 channelId, uint256 refund) internal {
        vm.expectEmit(address(drain));
        emit IPaymentChannel.ChannelClosed(channelId, consumer.addr, refund);
    }

    function expectFeePaid(bytes32 channelId, uint256 amount) internal {
        vm.expectEmit(address(drain));
        emit IDrainChannel.FeePaid(channelId, feeRecipient, amount);
    }

    /// @dev How often `emitter` emitted `topic` since vm.recordLogs().
    function countLogs(address emitter, bytes32 topic) internal returns (uint256 count) {
        return countLogs(vm.getRecordedLogs(), emitter, topic);
    }

    function countLogs(Vm.Log[] memory logs, address emitter, bytes32 topic) internal pure returns (uint256 count) {
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].emitter == emitter && logs[i].topics[0] == topic) count++;
        }
    }
}
