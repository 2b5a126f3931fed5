// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "../../src/interfaces/IPaymentChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract OpenTest is DrainTest {
    function expectedId(uint256 nonce) private view returns (bytes32) {
        return drain.computeChannelId(
            0, IDrainChannel.Opening(consumer.addr, provider.addr, DEPOSIT, DURATION, address(0), bytes32(nonce))
        );
    }

    function expectInvalidProvider(address provider_) private {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidProvider.selector, provider_));
        vm.prank(consumer.addr);
        drain.open(provider_, DEPOSIT, DURATION);
    }

    function expectInvalidDeposit(uint256 amount) private {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidDeposit.selector, amount, type(uint64).max));
        openChannel(amount, DURATION);
    }

    function expectInvalidDuration(uint256 duration) private {
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.InvalidDuration.selector, duration, 365 days));
        openChannel(DEPOSIT, duration);
    }

    function test_open_revertsWhenProviderIsZero() public {
        expectInvalidProvider(address(0));
    }

    function test_open_revertsWhenProviderIsConsumer() public {
        expectInvalidProvider(consumer.addr);
    }

    function test_open_revertsWhenProviderIsTheContract() public {
        expectInvalidProvider(address(drain));
    }

    function test_open_revertsWhenAmountIsZero() public {
        expectInvalidDeposit(0);
    }

    function test_open_revertsWhenAmountExceedsUint64() public {
        expectInvalidDeposit(uint256(type(uint64).max) + 1);
        expectInvalidDeposit(uint256(type(uint64).max) + 1 + DEPOSIT); // DEPOSIT, if it were cut off
        expectInvalidDeposit(type(uint256).max);
    }

    function test_open_acceptsTheLargestDeposit() public {
        mintUsdc(consumer.addr, type(uint64).max);
        bytes32 channelId = openChannel(type(uint64).max, DURATION);
        assertChannel(channelId, consumer.addr, provider.addr, type(uint64).max, 0, EXPIRY);
        assertUsdc(address(drain), type(uint64).max);
    }

    function test_open_revertsWhenDurationIsZero() public {
        expectInvalidDuration(0);
    }

    function test_open_revertsWhenDurationExceedsMaximum() public {
        expectInvalidDuration(365 days + 1);
        expectInvalidDuration(1 << 32); // zero, if it were cut off
        expectInvalidDuration(1 << 255);
        expectInvalidDuration(type(uint256).max);
    }

    function test_open_acceptsTheShortestAndLongestDuration() public {
        assertChannel(openChannel(DEPOSIT, 1), consumer.addr, provider.addr, DEPOSIT, 0, NOW + 1);
        assertChannel(openChannel(DEPOSIT, 365 days), consumer.addr, provider.addr, DEPOSIT, 0, NOW + 365 days);
    }

    function test_open_revertsWhenExpiryExceedsUint32() public {
        vm.warp(type(uint32).max - DURATION);
        openChannel();

        vm.warp(type(uint32).max - DURATION + 1);
        vm.expectRevert(
            abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 32, uint256(type(uint32).max) + 1)
        );
        openChannel();
    }

    function test_open_revertsWhenNotApproved() public {
        vm.prank(consumer.addr);
        usdc.approve(address(drain), DEPOSIT - 1);
        vm.expectRevert("ERC20: transfer amount exceeds allowance");
        openChannel();
    }

    function test_open_revertsWhenBalanceIsTooLow() public {
        uint256 balance = usdc.balanceOf(consumer.addr);
        vm.expectRevert("ERC20: transfer amount exceeds balance");
        openChannel(balance + 1, DURATION);
    }

    function test_open_revertsWhenTokenReturnsFalse() public {
        vm.mockCall(
            address(usdc),
            abi.encodeCall(IERC20.transferFrom, (consumer.addr, address(drain), DEPOSIT)),
            abi.encode(false)
        );
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(usdc)));
        openChannel();
    }

    function test_open_leavesNothingWhenItReverts() public {
        bytes32 channelId = expectedId(0);
        vm.prank(consumer.addr);
        usdc.approve(address(drain), 0);
        vm.expectRevert();
        openChannel();

        assertNoChannel(channelId);
        assertEq(drain.nonces(consumer.addr), 0);
    }

    function test_open_pullsTheDeposit() public {
        uint256 before = usdc.balanceOf(consumer.addr);
        openChannel();
        assertUsdc(consumer.addr, before - DEPOSIT);
        assertUsdc(address(drain), DEPOSIT);
    }

    function test_open_storesTheChannel() public {
        bytes32 channelId = openChannel();
        assertChannel(channelId, consumer.addr, provider.addr, DEPOSIT, 0, NOW + DURATION);
        assertEq(drain.getBalance(channelId), DEPOSIT);
    }

    function test_open_emitsChannelOpened() public {
        bytes32 channelId = expectedId(0);
        vm.expectEmit(address(drain));
        emit IPaymentChannel.ChannelOpened(channelId, consumer.addr, provider.addr, DEPOSIT, NOW + DURATION);
        openChannel();
    }

    function test_open_returnsTheComputedId() public {
        assertEq(openChannel(), expectedId(0));
        assertEq(openChannel(), expectedId(1));
    }

    function test_open_countsTheNonce() public {
        openChannel();
        openChannel();
        assertEq(drain.nonces(consumer.addr), 2);
        assertEq(drain.nonces(provider.addr), 0);
    }

    function test_open_givesEqualOpeningsDifferentIds() public {
        bytes32 first = openChannel();
        bytes32 second = openChannel();
        assertNotEq(first, second);
        assertUsdc(address(drain), 2 * DEPOSIT);

        claim(first, 1_000_000);
        assertClaimed(first, 1_000_000);
        assertClaimed(second, 0);
    }
}
