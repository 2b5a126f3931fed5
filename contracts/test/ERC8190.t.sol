// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDrainChannel} from "../src/interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "../src/interfaces/IPaymentChannel.sol";
import {DrainTest} from "./DrainTest.sol";

/// @notice The section "Test Cases" of the ERC-8190 draft, in its order and with its values; then what its
/// "Specification" demands beyond them.
contract ERC8190Test is DrainTest {
    uint256 private constant AMOUNT = 1_000_000;

    function openErc8190() private returns (bytes32) {
        return openChannel(AMOUNT, 86_400);
    }

    // ------------------------------------------------------------------------------------------------ Channel Lifecycle

    function test_ChannelLifecycle_1_Open() public {
        uint256 before = usdc.balanceOf(consumer.addr);
        vm.expectEmit(false, true, true, true, address(drain));
        emit IPaymentChannel.ChannelOpened(0, consumer.addr, provider.addr, AMOUNT, block.timestamp + 86_400);
        bytes32 channelId = openErc8190();

        assertUsdc(consumer.addr, before - AMOUNT);
        (,, uint256 deposit, uint256 claimed,) = drain.getChannel(channelId);
        assertEq(deposit, 1_000_000);
        assertEq(claimed, 0);
    }

    function test_ChannelLifecycle_2_VoucherSigning() public {
        bytes32 channelId = openErc8190();
        bytes32 digest = typedDataHash(drain.DOMAIN_SEPARATOR(), voucherHash(channelId, 100_000, 1));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(consumer.key, digest);
        assertEq(ecrecover(digest, v, r, s), consumer.addr);
    }

    function test_ChannelLifecycle_3_Claim() public {
        bytes32 channelId = openErc8190();
        claimWithNonce(channelId, 100_000, 1);

        assertUsdc(provider.addr, 100_000);
        (,,, uint256 claimed,) = drain.getChannel(channelId);
        assertEq(claimed, 100_000);
        assertEq(drain.getBalance(channelId), 900_000);
    }

    function test_ChannelLifecycle_4_SubsequentVoucherAndClaim() public {
        bytes32 channelId = openErc8190();
        claimWithNonce(channelId, 100_000, 1);
        claimWithNonce(channelId, 250_000, 2);

        assertUsdc(provider.addr, 100_000 + 150_000);
        (,,, uint256 claimed,) = drain.getChannel(channelId);
        assertEq(claimed, 250_000);
    }

    function test_ChannelLifecycle_5_CloseAfterExpiry() public {
        bytes32 channelId = openErc8190();
        uint256 before = usdc.balanceOf(consumer.addr);
        claimWithNonce(channelId, 100_000, 1);
        claimWithNonce(channelId, 250_000, 2);
        skip(86_400);
        close(channelId);

        assertUsdc(consumer.addr, before + 750_000);
        assertNoChannel(channelId);
    }

    // ------------------------------------------------------------------------------------------------ Cooperative Close

    function test_CooperativeClose() public {
        bytes32 channelId = openErc8190();
        uint256 before = usdc.balanceOf(consumer.addr);
        cooperativeClose(channelId, 300_000);

        assertUsdc(provider.addr, 300_000);
        assertUsdc(consumer.addr, before + 700_000);
        assertNoChannel(channelId);
    }

    function test_CooperativeClose_MinusFee() public {
        drain = deployDrain(feeRecipient, 200);
        approveDrain(consumer.addr);
        bytes32 channelId = openErc8190();
        uint256 before = usdc.balanceOf(consumer.addr);
        cooperativeClose(channelId, 300_000);

        assertUsdc(provider.addr, 294_000);
        assertUsdc(feeRecipient, 6_000);
        assertUsdc(consumer.addr, before + 700_000);
    }

    // ------------------------------------------------------------------------------------------------------- Edge Cases

    function test_EdgeCases_ClaimAtOrBelowClaimedReverts() public {
        bytes32 channelId = openErc8190();
        claimWithNonce(channelId, 100_000, 1);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NothingToClaim.selector, 100_000, 100_000));
        claimWithNonce(channelId, 100_000, 2);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NothingToClaim.selector, 99_999, 100_000));
        claimWithNonce(channelId, 99_999, 3);
    }

    function test_EdgeCases_ClaimAboveDepositReverts() public {
        bytes32 channelId = openErc8190();
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsDeposit.selector, AMOUNT + 1, AMOUNT));
        claimWithNonce(channelId, AMOUNT + 1, 1);
    }

    function test_EdgeCases_ClaimWithAnotherSignerReverts() public {
        bytes32 channelId = openErc8190();
        bytes memory signature = signVoucher(stranger, channelId, 100_000, 1);
        expectInvalidSignature(stranger.addr, consumer.addr);
        vm.prank(provider.addr);
        drain.claim(channelId, 100_000, 1, signature);
    }

    function test_EdgeCases_CloseBeforeExpiryReverts() public {
        bytes32 channelId = openErc8190();
        skip(86_399);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NotExpired.selector, block.timestamp, block.timestamp + 1));
        close(channelId);
    }

    function test_EdgeCases_CooperativeCloseWithAnotherSignerReverts() public {
        bytes32 channelId = openErc8190();
        bytes memory signature = signCloseAuthorization(stranger, channelId, 300_000);
        expectInvalidSignature(stranger.addr, provider.addr);
        vm.prank(consumer.addr);
        drain.cooperativeClose(channelId, 300_000, signature);
    }

    function test_EdgeCases_OpenWithZeroProviderReverts() public {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidProvider.selector, address(0)));
        vm.prank(consumer.addr);
        drain.open(address(0), AMOUNT, 86_400);
    }

    function test_EdgeCases_OpenWithZeroAmountReverts() public {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidDeposit.selector, 0, type(uint64).max));
        openChannel(0, 86_400);
    }

    function test_EdgeCases_OpenWithZeroDurationReverts() public {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidDuration.selector, 0, 365 days));
        openChannel(AMOUNT, 0);
    }

    // ---------------------------------------------------------------------------------------------------- Specification

    function test_Specification_ClaimIsPermittedOnAnExpiredChannel() public {
        bytes32 channelId = openErc8190();
        skip(86_400 + 1);
        claimWithNonce(channelId, 100_000, 1);
        assertUsdc(provider.addr, 100_000);
    }

    function test_Specification_CooperativeCloseIsPermittedOnAnExpiredChannel() public {
        bytes32 channelId = openErc8190();
        skip(86_400 + 1);
        cooperativeClose(channelId, 300_000);
        assertUsdc(provider.addr, 300_000);
    }

    /// @dev A known deviation: the draft pays nothing and goes on; here a final amount below what was claimed reverts.
    function test_Deviation_FinalAmountBelowClaimedReverts() public {
        bytes32 channelId = openErc8190();
        claimWithNonce(channelId, 300_000, 1);
        bytes memory signature = signCloseAuthorization(provider, channelId, 299_999);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.BelowClaimed.selector, 299_999, 300_000));
        vm.prank(consumer.addr);
        drain.cooperativeClose(channelId, 299_999, signature);
    }

    function claimWithNonce(bytes32 channelId, uint256 amount, uint256 nonce) private {
        bytes memory signature = signVoucher(consumer, channelId, amount, nonce);
        vm.prank(provider.addr);
        drain.claim(channelId, amount, nonce, signature);
    }
}
