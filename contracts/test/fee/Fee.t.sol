// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "forge-std/Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract FeeTest is DrainTest {
    uint256 private constant PAYOUT = 1_000_049; // 2 % are 20,000.98
    uint256 private constant FEE = 20_000;

    bytes32 private channelId;
    uint256 private funds; // the consumer's, with the deposit out

    function setUp() public override {
        super.setUp();
        deployWithFee(feeRecipient, 200);
    }

    function deployWithFee(address recipient, uint16 bps) private {
        drain = deployDrain(recipient, bps);
        approveDrain(consumer.addr);
        channelId = openChannel();
        funds = usdc.balanceOf(consumer.addr);
    }

    /// @dev Claims, and expects no fee to move.
    function claimWithoutFee(uint256 amount) private {
        vm.recordLogs();
        claim(channelId, amount);
        assertEq(countLogs(address(drain), IDrainChannel.FeePaid.selector), 0, "FeePaid");
        assertUsdc(feeRecipient, 0);
        assertUsdc(provider.addr, amount);
        assertClaimed(channelId, amount);
    }

    function test_fee_claimPaysIt() public {
        expectClaimed(channelId, PAYOUT);
        expectFeePaid(channelId, FEE);
        claim(channelId, PAYOUT);
        assertUsdc(feeRecipient, FEE);
        assertUsdc(provider.addr, PAYOUT - FEE);
        assertClaimed(channelId, PAYOUT);

        expectClaimed(channelId, PAYOUT);
        expectFeePaid(channelId, FEE);
        claim(channelId, 2 * PAYOUT); // rounded down again
        assertUsdc(feeRecipient, 2 * FEE);
    }

    function test_fee_claimAndClosePaysIt() public {
        expectClaimed(channelId, PAYOUT);
        expectFeePaid(channelId, FEE);
        expectClosed(channelId, DEPOSIT - PAYOUT);
        claimAndClose(channelId, PAYOUT);
        assertUsdc(feeRecipient, FEE);
        assertUsdc(provider.addr, PAYOUT - FEE);
        assertUsdc(consumer.addr, funds + DEPOSIT - PAYOUT);
    }

    function test_fee_cooperativeClosePaysIt() public {
        expectClaimed(channelId, PAYOUT);
        expectFeePaid(channelId, FEE);
        expectClosed(channelId, DEPOSIT - PAYOUT);
        cooperativeClose(channelId, PAYOUT);
        assertUsdc(feeRecipient, FEE);
        assertUsdc(provider.addr, PAYOUT - FEE);
        assertUsdc(consumer.addr, funds + DEPOSIT - PAYOUT);
    }

    function test_fee_movesBeforeThePayout() public {
        vm.expectEmit(address(usdc));
        emit IERC20.Transfer(address(drain), feeRecipient, FEE);
        vm.expectEmit(address(usdc));
        emit IERC20.Transfer(address(drain), provider.addr, PAYOUT - FEE);
        claim(channelId, PAYOUT);
    }

    function test_fee_roundsDown() public {
        claimWithoutFee(49); // 0.98
    }

    function test_fee_closeTakesNone() public {
        vm.warp(EXPIRY);
        close(channelId);
        assertUsdc(feeRecipient, 0);
        assertUsdc(consumer.addr, funds + DEPOSIT);
    }

    function test_fee_takesNoneWithoutPayout() public {
        cooperativeClose(channelId, 0);
        assertUsdc(feeRecipient, 0);
        assertUsdc(consumer.addr, funds + DEPOSIT);
    }

    function test_fee_takesATenthAtMost() public {
        deployWithFee(feeRecipient, 1000);
        claim(channelId, PAYOUT);
        assertUsdc(feeRecipient, PAYOUT / 10);
        assertUsdc(provider.addr, PAYOUT - PAYOUT / 10);
    }

    function test_fee_isSkippedWhenRecipientIsBlocked() public {
        blockUsdc(feeRecipient);
        claimWithoutFee(PAYOUT);

        claimAndClose(channelId, 2 * PAYOUT);
        assertUsdc(provider.addr, 2 * PAYOUT);

        channelId = openChannel();
        cooperativeClose(channelId, PAYOUT);
        assertUsdc(provider.addr, 3 * PAYOUT);
        assertUsdc(feeRecipient, 0);
    }

    function test_fee_isPaidAgainOnceUnblocked() public {
        blockUsdc(feeRecipient);
        claimWithoutFee(PAYOUT);
        unblockUsdc(feeRecipient);
        claim(channelId, 2 * PAYOUT);
        assertUsdc(feeRecipient, FEE);
    }

    function test_fee_recipientMayBeTheProvider() public {
        deployWithFee(provider.addr, 200);
        claim(channelId, PAYOUT);
        assertUsdc(provider.addr, PAYOUT);
    }

    function test_fee_isSkippedWhenTransferReturnsFalse() public {
        vm.mockCall(address(usdc), abi.encodeCall(IERC20.transfer, (feeRecipient, FEE)), abi.encode(false));
        claimWithoutFee(PAYOUT);
    }

    function test_fee_isSkippedWhenTransferReturnsGarbage() public {
        vm.mockCall(address(usdc), abi.encodeCall(IERC20.transfer, (feeRecipient, FEE)), hex"01");
        claimWithoutFee(PAYOUT);
    }

    /// @dev Whatever the gas limit, a claim that succeeds has paid the fee. The recipient holds no USDC yet, which makes
    /// its transfer the dearest it can be, and the provider does, which makes its own the cheapest.
    function test_fee_cannotBeStarvedOfGas() public {
        mintUsdc(provider.addr, 1);
        bytes memory signature = signVoucher(consumer, channelId, PAYOUT, 1);
        bytes memory call = abi.encodeCall(drain.claim, (channelId, PAYOUT, 1, signature));

        bool failed;
        bool succeeded;
        for (uint256 gasLimit = 15_000; gasLimit < 150_000; gasLimit += 150) {
            uint256 snapshot = vm.snapshotState();
            vm.cool(address(usdc));
            vm.cool(address(drain));
            vm.prank(provider.addr);
            (bool success,) = address(drain).call{gas: gasLimit}(call);
            if (success) {
                succeeded = true;
                assertUsdc(feeRecipient, FEE);
                assertUsdc(provider.addr, 1 + PAYOUT - FEE);
            } else {
                failed = true;
                assertFalse(succeeded, "more gas, and it failed");
            }
            vm.revertToState(snapshot);
        }
        assertTrue(failed && succeeded, "the sweep covers both outcomes");
    }
}
