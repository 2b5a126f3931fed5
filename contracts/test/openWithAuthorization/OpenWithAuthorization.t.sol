// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {DrainChannel} from "../../src/DrainChannel.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "../../src/interfaces/IPaymentChannel.sol";
import {DrainTest} from "../DrainTest.sol";
import {PlainToken, SilentToken, Weth9} from "../Tokens.sol";
import {Delegate, DelegateWithoutSignatures, Wallet} from "../Wallets.sol";

contract OpenWithAuthorizationTest is DrainTest {
    bytes private constant INVALID_SIGNATURE = "FiatTokenV2: invalid signature";
    bytes private constant USED = "FiatTokenV2: authorization is used or canceled";
    uint256 private constant VALID_AFTER = NOW - 1;
    uint256 private constant VALID_BEFORE = NOW + 10 minutes;

    IDrainChannel.Opening private opening; // what the consumer signed
    bytes private signature;
    uint256 private funds;

    function setUp() public override {
        super.setUp();
        vm.prank(consumer.addr);
        usdc.approve(address(drain), 0); // no open may need it
        opening = relayedOpening(keccak256("salt"));
        signature = signAuthorization(consumer, opening, VALID_AFTER, VALID_BEFORE);
        funds = usdc.balanceOf(consumer.addr);
    }

    function relay() private returns (bytes32) {
        return relay(opening);
    }

    function relay(IDrainChannel.Opening memory changed) private returns (bytes32) {
        vm.prank(relayer);
        return drain.openWithAuthorization(changed, VALID_AFTER, VALID_BEFORE, signature);
    }

    function resign() private {
        signature = signAuthorization(consumer, opening, VALID_AFTER, VALID_BEFORE);
    }

    /// @dev Sends what the consumer didn't sign.
    function expectTampered(IDrainChannel.Opening memory changed) private {
        vm.expectRevert(INVALID_SIGNATURE);
        relay(changed);
        assertNoChannel(idOf(1, changed));
        assertUsdc(consumer.addr, funds);
    }

    // ---------------------------------------------------------------------------------------------------- what it does

    function test_openWithAuthorization_pullsTheDepositWithoutApproval() public {
        relay();
        assertUsdc(consumer.addr, funds - DEPOSIT);
        assertUsdc(address(drain), DEPOSIT);
    }

    function test_openWithAuthorization_storesTheChannel() public {
        assertClaimed(relay(), 0);
    }

    function test_openWithAuthorization_emitsChannelOpened() public {
        vm.expectEmit(address(drain));
        emit IPaymentChannel.ChannelOpened(idOf(1, opening), consumer.addr, provider.addr, DEPOSIT, EXPIRY);
        relay();
    }

    function test_openWithAuthorization_returnsTheComputedId() public {
        bytes32 expected = drain.computeChannelId(1, opening);
        assertEq(expected, idOf(1, opening));
        assertEq(relay(), expected);
    }

    function test_openWithAuthorization_burnsTheOpeningsHash() public {
        assertFalse(usdc.authorizationState(consumer.addr, hashOpening(opening)));
        relay();
        assertTrue(usdc.authorizationState(consumer.addr, hashOpening(opening)));
    }

    function test_openWithAuthorization_leavesTheNonceOfDirectOpenings() public {
        relay();
        assertEq(drain.nonces(consumer.addr), 0);
    }

    /// @dev The same opening of both kinds: the kind alone tells the ids apart.
    function test_openWithAuthorization_neverMeetsADirectOpening() public {
        opening = directOpening(0);
        resign();
        bytes32 relayed = relay();
        approveDrain(consumer.addr);
        bytes32 direct = openWithSigner();
        assertNotEq(relayed, direct);
        assertClaimed(relayed, 0);
        assertClaimed(direct, 0);
        assertUsdc(address(drain), 2 * DEPOSIT);
    }

    function test_openWithAuthorization_anyoneMaySend() public {
        address[3] memory senders = [consumer.addr, provider.addr, stranger.addr];
        for (uint256 i = 0; i < senders.length; i++) {
            opening.salt = bytes32(i);
            resign();
            vm.prank(senders[i]);
            assertClaimed(drain.openWithAuthorization(opening, VALID_AFTER, VALID_BEFORE, signature), 0);
        }
        assertUsdc(consumer.addr, funds - 3 * DEPOSIT);
    }

    function test_openWithAuthorization_needsNoSigner() public {
        opening.signer = address(0);
        resign();
        bytes32 channelId = relay();
        claim(channelId, 1_000_000);
        assertClaimed(channelId, 1_000_000);
    }

    function test_openWithAuthorization_sessionWithoutGasForTheConsumer() public {
        bytes32 channelId = relay();
        bytes memory voucher = signWithProof(sessionKey, channelId, 1_000_000, 1, proofOf(1, opening));
        vm.prank(provider.addr);
        drain.claimAndClose(channelId, 1_000_000, 1, 1_000_000, voucher);
        assertUsdc(provider.addr, 1_000_000);
        assertUsdc(consumer.addr, funds - 1_000_000);
        assertNoChannel(channelId);
    }

    // ----------------------------------------------------------------------------------------------------- invalid terms

    function expectInvalidProvider() private {
        resign();
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidProvider.selector, opening.provider));
        relay();
    }

    function test_openWithAuthorization_revertsWhenProviderIsInvalid() public {
        opening.provider = address(0);
        expectInvalidProvider();
        opening.provider = consumer.addr; // not of the sender
        expectInvalidProvider();
        opening.provider = address(drain);
        expectInvalidProvider();
    }

    function expectInvalidDeposit(uint256 amount) private {
        opening.amount = amount;
        resign();
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidDeposit.selector, amount, type(uint64).max));
        relay();
    }

    function test_openWithAuthorization_revertsWhenAmountIsInvalid() public {
        expectInvalidDeposit(0);
        expectInvalidDeposit(1 << 64);
        expectInvalidDeposit((1 << 64) + DEPOSIT);
        expectInvalidDeposit(type(uint256).max);
    }

    function expectInvalidDuration(uint256 duration) private {
        opening.duration = duration;
        resign();
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidDuration.selector, duration, 365 days));
        relay();
    }

    function test_openWithAuthorization_revertsWhenDurationIsInvalid() public {
        expectInvalidDuration(0);
        expectInvalidDuration(365 days + 1);
        expectInvalidDuration(1 << 32);
        expectInvalidDuration(1 << 255);
    }

    function test_openWithAuthorization_revertsWhenSignerIsProvider() public {
        opening.signer = provider.addr;
        resign();
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidSigner.selector, provider.addr));
        relay();
    }

    function test_openWithAuthorization_revertsWhenBalanceIsTooLow() public {
        opening.amount = funds + 1;
        resign();
        vm.expectRevert("ERC20: transfer amount exceeds balance");
        relay();
        assertNoChannel(idOf(1, opening));
        assertFalse(usdc.authorizationState(consumer.addr, hashOpening(opening)));
    }

    function test_openWithAuthorization_revertsForConsumersThatCannotSign() public {
        opening.consumer = address(0);
        vm.expectRevert(INVALID_SIGNATURE);
        relay();
        opening.consumer = address(drain);
        vm.expectRevert(INVALID_SIGNATURE);
        relay();
    }

    // ------------------------------------------------------------------------------------------- what a relayer might change

    function test_openWithAuthorization_revertsWhenConsumerIsChanged() public {
        IDrainChannel.Opening memory changed = opening;
        changed.consumer = stranger.addr;
        fund(stranger.addr, DEPOSIT);
        expectTampered(changed);
    }

    function test_openWithAuthorization_revertsWhenProviderIsChanged() public {
        IDrainChannel.Opening memory changed = opening;
        changed.provider = relayer;
        expectTampered(changed);
    }

    function test_openWithAuthorization_revertsWhenAmountIsChanged() public {
        IDrainChannel.Opening memory changed = opening;
        changed.amount = DEPOSIT + 1;
        expectTampered(changed);
        changed.amount = DEPOSIT - 1;
        expectTampered(changed);
    }

    function test_openWithAuthorization_revertsWhenDurationIsChanged() public {
        IDrainChannel.Opening memory changed = opening;
        changed.duration = 365 days;
        expectTampered(changed);
        changed.duration = 1;
        expectTampered(changed);
    }

    function test_openWithAuthorization_revertsWhenSignerIsChanged() public {
        IDrainChannel.Opening memory changed = opening;
        changed.signer = relayer;
        expectTampered(changed);
        changed.signer = address(0);
        expectTampered(changed);
    }

    function test_openWithAuthorization_revertsWhenSaltIsChanged() public {
        IDrainChannel.Opening memory changed = opening;
        changed.salt = bytes32(0);
        expectTampered(changed);
    }

    function test_openWithAuthorization_revertsWhenValidityIsChanged() public {
        vm.startPrank(relayer);
        vm.expectRevert(INVALID_SIGNATURE);
        drain.openWithAuthorization(opening, VALID_AFTER - 1, VALID_BEFORE, signature);
        vm.expectRevert(INVALID_SIGNATURE);
        drain.openWithAuthorization(opening, VALID_AFTER, VALID_BEFORE + 1, signature);
        vm.expectRevert(INVALID_SIGNATURE);
        drain.openWithAuthorization(opening, VALID_AFTER, type(uint256).max, signature);
    }

    function test_openWithAuthorization_revertsWhenSignatureIsMalformed() public {
        bytes[] memory forms = malformedSignatures(consumer, authorizationDigest(opening, VALID_AFTER, VALID_BEFORE));
        for (uint256 i = 0; i < forms.length; i++) {
            vm.expectRevert();
            vm.prank(relayer);
            drain.openWithAuthorization(opening, VALID_AFTER, VALID_BEFORE, forms[i]);
        }
        assertUsdc(consumer.addr, funds);
    }

    function test_openWithAuthorization_revertsWhenSomeoneElseSigned() public {
        signature = signAuthorization(sessionKey, opening, VALID_AFTER, VALID_BEFORE);
        expectTampered(opening);
        signature = signAuthorization(provider, opening, VALID_AFTER, VALID_BEFORE);
        expectTampered(opening);
    }

    // ------------------------------------------------------------------------------------------------------------- replay

    function test_openWithAuthorization_revertsWhenRepeated() public {
        bytes32 channelId = relay();
        claimBySessionKey(channelId, 1_000_000);
        vm.expectRevert(USED);
        relay();
        assertClaimed(channelId, 1_000_000);
        assertUsdc(consumer.addr, funds - DEPOSIT);
    }

    function claimBySessionKey(bytes32 channelId, uint256 amount) private {
        bytes memory voucher = signWithProof(sessionKey, channelId, amount, 1, proofOf(1, opening));
        vm.prank(provider.addr);
        drain.claim(channelId, amount, 1, voucher);
    }

    function test_openWithAuthorization_revertsWhenRepeatedAfterClose() public {
        bytes32 channelId = relay();
        cooperativeClose(channelId, 0);
        vm.expectRevert(USED);
        relay();
        assertNoChannel(channelId);
    }

    /// @dev The consumer may sign the same opening again, by mistake: the hash is burned all the same.
    function test_openWithAuthorization_revertsWhenSignedAgain() public {
        bytes32 channelId = relay();
        cooperativeClose(channelId, 0);
        bytes memory again = signAuthorization(consumer, opening, 0, VALID_BEFORE + 1);
        vm.expectRevert(USED);
        drain.openWithAuthorization(opening, 0, VALID_BEFORE + 1, again);
    }

    function test_openWithAuthorization_revertsOnAnotherContract() public {
        IDrainChannel other = deployDrain(address(0), 0);
        vm.expectRevert(INVALID_SIGNATURE);
        other.openWithAuthorization(opening, VALID_AFTER, VALID_BEFORE, signature);
    }

    function test_openWithAuthorization_revertsOnAnotherChain() public {
        vm.chainId(80_002);
        vm.expectRevert(INVALID_SIGNATURE);
        relay();
    }

    function test_openWithAuthorization_revertsWhenCancelled() public {
        bytes32 nonce = hashOpening(opening);
        bytes32 structHash = keccak256(
            abi.encode(keccak256("CancelAuthorization(address authorizer,bytes32 nonce)"), consumer.addr, nonce)
        );
        usdc.cancelAuthorization(
            consumer.addr, nonce, sign(consumer, typedDataHash(usdc.DOMAIN_SEPARATOR(), structHash))
        );
        vm.expectRevert(USED);
        relay();
    }

    // -------------------------------------------------------------------------------------------------- front-running

    function test_openWithAuthorization_tokenServesOnlyTheContract() public {
        bytes32 nonce = hashOpening(opening);
        vm.startPrank(stranger.addr);
        vm.expectRevert("FiatTokenV2: caller must be the payee");
        usdc.receiveWithAuthorization(
            consumer.addr, address(drain), DEPOSIT, VALID_AFTER, VALID_BEFORE, nonce, signature
        );
        vm.expectRevert(INVALID_SIGNATURE);
        usdc.receiveWithAuthorization(
            consumer.addr, stranger.addr, DEPOSIT, VALID_AFTER, VALID_BEFORE, nonce, signature
        );
        vm.expectRevert(INVALID_SIGNATURE); // of another type
        usdc.transferWithAuthorization(
            consumer.addr, address(drain), DEPOSIT, VALID_AFTER, VALID_BEFORE, nonce, signature
        );
        vm.stopPrank();
        assertClaimed(relay(), 0);
    }

    function test_openWithAuthorization_sentByAnotherFirst() public {
        vm.prank(stranger.addr);
        bytes32 channelId = drain.openWithAuthorization(opening, VALID_AFTER, VALID_BEFORE, signature);
        vm.expectRevert(USED);
        relay();
        assertEq(channelId, idOf(1, opening));
        assertClaimed(channelId, 0);
        assertUsdc(consumer.addr, funds - DEPOSIT);
    }

    /// @dev A `transferWithAuthorization` to the contract would fund no channel, so no such signature is of any use to it.
    function test_openWithAuthorization_revertsForATransferAuthorization() public {
        bytes32 typeHash = keccak256(
            "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        bytes32 structHash = keccak256(
            abi.encode(
                typeHash, consumer.addr, address(drain), DEPOSIT, VALID_AFTER, VALID_BEFORE, hashOpening(opening)
            )
        );
        signature = sign(consumer, typedDataHash(usdc.DOMAIN_SEPARATOR(), structHash));
        expectTampered(opening);
    }

    /// @dev A payment to the contract with some other nonce (an x402 payment, say) opens nothing.
    function test_openWithAuthorization_revertsForAnAuthorizationOfAnotherNonce() public {
        signature = sign(
            consumer,
            authorizationDigest(
                consumer.addr, address(drain), DEPOSIT, VALID_AFTER, VALID_BEFORE, keccak256("a payment")
            )
        );
        expectTampered(opening);
    }

    // ----------------------------------------------------------------------------------------------------------- validity

    function test_openWithAuthorization_revertsBeforeValidAfter() public {
        vm.warp(VALID_AFTER);
        vm.expectRevert("FiatTokenV2: authorization is not yet valid");
        relay();
        vm.warp(VALID_AFTER + 1);
        relay();
    }

    function test_openWithAuthorization_revertsFromValidBeforeOn() public {
        vm.warp(VALID_BEFORE);
        vm.expectRevert("FiatTokenV2: authorization is expired");
        relay();
        vm.warp(VALID_BEFORE - 1);
        bytes32 channelId = relay();
        // The channel lasts from its opening, not from the signature.
        assertChannel(channelId, consumer.addr, provider.addr, DEPOSIT, 0, VALID_BEFORE - 1 + DURATION);
    }

    // ----------------------------------------------------------------------------------------------------------- accounts

    function test_openWithAuthorization_takesContractWallets() public {
        opening.consumer = address(new Wallet(consumer.addr));
        mintUsdc(opening.consumer, DEPOSIT);
        resign();

        vm.expectRevert(); // the wallet can't read it
        relay();
        signature = abi.encode("wallet", signAuthorization(stranger, opening, VALID_AFTER, VALID_BEFORE));
        vm.expectRevert(INVALID_SIGNATURE);
        relay();

        signature = abi.encode("wallet", signAuthorization(consumer, opening, VALID_AFTER, VALID_BEFORE));
        assertGt(signature.length, 65);
        bytes32 channelId = relay();
        assertUsdc(opening.consumer, 0);
        assertChannel(channelId, opening.consumer, provider.addr, DEPOSIT, 0, EXPIRY);

        claimBySessionKey(channelId, 1_000_000);
        vm.warp(EXPIRY + 1 days);
        drain.closeFor(channelId);
        assertUsdc(opening.consumer, DEPOSIT - 1_000_000);
    }

    function test_openWithAuthorization_takesDelegatedAccounts() public {
        vm.signAndAttachDelegation(address(new Delegate()), consumer.key);
        bytes32 channelId = relay();
        assertGt(consumer.addr.code.length, 0, "delegated");
        assertClaimed(channelId, 0);
        assertUsdc(consumer.addr, funds - DEPOSIT);

        claim(channelId, 1_000_000); // its own key's vouchers count as before
        claimBySessionKey(channelId, 2_000_000);
        assertClaimed(channelId, 2_000_000);
    }

    function test_openWithAuthorization_revertsForDelegatesWithoutSignatures() public {
        vm.signAndAttachDelegation(address(new DelegateWithoutSignatures()), consumer.key);
        vm.expectRevert(INVALID_SIGNATURE); // the token asks the code, not the key
        relay();
    }

    // -------------------------------------------------------------------------------------------------------------- token

    function test_openWithAuthorization_revertsWhenBlocked() public {
        blockUsdc(consumer.addr);
        vm.expectRevert("Blacklistable: account is blacklisted");
        relay();
        unblockUsdc(consumer.addr);

        blockUsdc(address(drain));
        vm.expectRevert("Blacklistable: account is blacklisted");
        relay();
        unblockUsdc(address(drain));

        pauseUsdc();
        vm.expectRevert("Pausable: paused");
        relay();
        unpauseUsdc();

        blockUsdc(relayer);
        blockUsdc(sessionKey.addr);
        assertClaimed(relay(), 0); // neither of them holds any of it
    }

    function expectUnsupported(address token) private {
        drain = new DrainChannel(IERC20(token), address(0), 0);
        assertFalse(drain.supportsAuthorization());
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.AuthorizationUnsupported.selector, token));
        relay();
        assertNoChannel(idOf(1, opening));
    }

    function test_openWithAuthorization_revertsWithoutEip3009() public {
        expectUnsupported(address(new PlainToken()));
    }

    function test_openWithAuthorization_revertsWithSilentFallback() public {
        expectUnsupported(address(new Weth9()));
        expectUnsupported(address(new SilentToken()));
    }
}
