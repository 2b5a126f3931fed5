// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "../../src/interfaces/IPaymentChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract CooperativeCloseTest is DrainTest {
    bytes32 private channelId;
    uint256 private funds; // the consumer's, with the deposit out

    function setUp() public override {
        super.setUp();
        channelId = openChannel();
        funds = usdc.balanceOf(consumer.addr);
    }

    function cooperativeClose(uint256 finalAmount, bytes memory signature) private {
        vm.prank(consumer.addr);
        drain.cooperativeClose(channelId, finalAmount, signature);
    }

    function expectExceedsDeposit(uint256 finalAmount) private {
        bytes memory signature = signCloseAuthorization(provider, channelId, finalAmount);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsDeposit.selector, finalAmount, DEPOSIT));
        cooperativeClose(finalAmount, signature);
    }

    function test_cooperativeClose_revertsWhenChannelIsUnknown() public {
        bytes32 unknown = keccak256("unknown");
        expectChannelNotFound(unknown);
        cooperativeClose(unknown, 0);
    }

    function test_cooperativeClose_revertsWhenChannelWasClosed() public {
        cooperativeClose(channelId, 0);
        expectChannelNotFound(channelId);
        cooperativeClose(channelId, 0);
    }

    function test_cooperativeClose_revertsWhenCallerIsNotConsumer() public {
        bytes memory signature = signCloseAuthorization(provider, channelId, 1_000_000);
        expectNotConsumer(provider.addr);
        vm.prank(provider.addr);
        drain.cooperativeClose(channelId, 1_000_000, signature);

        expectNotConsumer(stranger.addr);
        vm.prank(stranger.addr);
        drain.cooperativeClose(channelId, 1_000_000, signature);
    }

    /// @dev Otherwise colluders would be paid `claimed - finalAmount` out of other channels' deposits.
    function test_cooperativeClose_revertsBelowClaimed() public {
        openChannel();
        claim(channelId, DEPOSIT);
        bytes memory signature = signCloseAuthorization(provider, channelId, 0);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.BelowClaimed.selector, 0, DEPOSIT));
        cooperativeClose(0, signature);

        signature = signCloseAuthorization(provider, channelId, DEPOSIT - 1);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.BelowClaimed.selector, DEPOSIT - 1, DEPOSIT));
        cooperativeClose(DEPOSIT - 1, signature);
    }

    function test_cooperativeClose_revertsAboveDeposit() public {
        expectExceedsDeposit(DEPOSIT + 1);
        expectExceedsDeposit(type(uint256).max);
    }

    function test_cooperativeClose_revertsWhenAmountWouldBeCutOff() public {
        expectExceedsDeposit((1 << 64) + 1);
        expectExceedsDeposit((1 << 96) + 1);
    }

    function test_cooperativeClose_paysNothingMore() public {
        claim(channelId, 4_000_000);
        vm.recordLogs();
        cooperativeClose(channelId, 4_000_000);
        assertEq(countLogs(address(drain), IPaymentChannel.ChannelClaimed.selector), 0);
        assertUsdc(provider.addr, 4_000_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 4_000_000);
    }

    function test_cooperativeClose_refundsTheDeposit() public {
        cooperativeClose(channelId, 0);
        assertUsdc(consumer.addr, funds + DEPOSIT);
        assertUsdc(provider.addr, 0);
    }

    function test_cooperativeClose_paysTheWholeDeposit() public {
        vm.recordLogs();
        cooperativeClose(channelId, DEPOSIT);
        assertEq(countLogs(address(usdc), IERC20.Transfer.selector), 1);
        assertUsdc(provider.addr, DEPOSIT);
        assertUsdc(consumer.addr, funds);
    }

    function test_cooperativeClose_revertsWhenSignerIsNotProvider() public {
        bytes memory byConsumer = signCloseAuthorization(consumer, channelId, 0);
        expectInvalidSignature(consumer.addr, provider.addr);
        cooperativeClose(0, byConsumer);

        bytes memory byStranger = signCloseAuthorization(stranger, channelId, 0);
        expectInvalidSignature(stranger.addr, provider.addr);
        cooperativeClose(0, byStranger);
    }

    function test_cooperativeClose_revertsWhenAuthorizationDiffers() public {
        bytes memory otherAmount = signCloseAuthorization(provider, channelId, 1_000_001);
        expectInvalidSignature();
        cooperativeClose(1_000_000, otherAmount);

        bytes memory otherType = signVoucher(provider, channelId, 1_000_000, 1);
        expectInvalidSignature();
        cooperativeClose(1_000_000, otherType);
    }

    function test_cooperativeClose_revertsWhenSignatureIsMalformed() public {
        bytes[] memory forms = malformedSignatures(provider, digestOf(closeAuthorizationHash(channelId, 1_000_000)));
        for (uint256 i = 0; i < forms.length; i++) {
            expectInvalidSignature();
            cooperativeClose(1_000_000, forms[i]);
        }
        cooperativeClose(channelId, 1_000_000); // the same authorization, well-formed
    }

    function test_cooperativeClose_revertsWhenMoreWasClaimedSince() public {
        bytes memory early = signCloseAuthorization(provider, channelId, 1_000_000);
        claim(channelId, 2_000_000);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.BelowClaimed.selector, 1_000_000, 2_000_000));
        cooperativeClose(1_000_000, early);
    }

    function test_cooperativeClose_revertsWhenTokenReturnsFalse() public {
        bytes memory signature = signCloseAuthorization(provider, channelId, 1_000_000);
        vm.mockCall(address(usdc), abi.encodeCall(IERC20.transfer, (provider.addr, 1_000_000)), abi.encode(false));
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(usdc)));
        cooperativeClose(1_000_000, signature);
        assertClaimed(channelId, 0);
    }

    function test_cooperativeClose_paysBoth() public {
        cooperativeClose(channelId, 1_000_000);
        assertUsdc(provider.addr, 1_000_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
        assertUsdc(address(drain), 0);
    }

    function test_cooperativeClose_paysBothAfterExpiry() public {
        vm.warp(EXPIRY + 1);
        cooperativeClose(channelId, 1_000_000);
        assertUsdc(provider.addr, 1_000_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 1_000_000);
    }

    function test_cooperativeClose_paysTheDifference() public {
        claim(channelId, 4_000_000);
        cooperativeClose(channelId, 4_500_000);
        assertUsdc(provider.addr, 4_500_000);
        assertUsdc(consumer.addr, funds + DEPOSIT - 4_500_000);
        assertUsdc(address(drain), 0);
    }

    function test_cooperativeClose_deletesTheChannel() public {
        cooperativeClose(channelId, 1_000_000);
        assertNoChannel(channelId);
    }

    function test_cooperativeClose_emitsItsEvents() public {
        claim(channelId, 4_000_000);
        bytes memory signature = signCloseAuthorization(provider, channelId, 5_000_000);
        expectClaimed(channelId, 1_000_000);
        expectClosed(channelId, 5_000_000);
        cooperativeClose(5_000_000, signature);
    }

    function test_cooperativeClose_touchesNoOtherChannel() public {
        bytes32 other = openChannel();
        cooperativeClose(channelId, 1_000_000);
        assertClaimed(other, 0);
        assertUsdc(address(drain), DEPOSIT);
    }
}
