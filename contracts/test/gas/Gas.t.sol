// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {VmSafe} from "forge-std/Vm.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

/// @notice Upper bounds of what each transaction costs with Circle's USDC. `isolate` makes each call of a test a
/// transaction of its own: 21,000, calldata, cold storage and refunds are in.
/// forge-config: default.isolate = true
contract GasTest is DrainTest {
    bytes32 private channelId;

    function setUp() public override {
        vm.skip(vm.isContext(VmSafe.ForgeContext.Coverage)); // compiled without the optimizer
        super.setUp();
        mintUsdc(provider.addr, 1); // no balance is written for the first time
        openChannel(); // nor the nonce, and other deposits stay in the contract
        channelId = openChannel();
    }

    function assertLastCallCosts(uint256 limit) private {
        uint256 gasUsed = vm.lastCallGas().gasTotalUsed;
        emit log_named_uint("gas", gasUsed);
        assertGt(gasUsed, 40_000, "not a whole transaction");
        assertLe(gasUsed, limit);
    }

    function test_gas_open() public {
        openChannel();
        assertLastCallCosts(108_000);
        openWithSigner();
        assertLastCallCosts(108_500);
    }

    function test_gas_openWithAuthorization() public {
        openWithAuthorization(relayedOpening(keccak256("salt")));
        assertLastCallCosts(140_000);
    }

    function test_gas_claim() public {
        claim(channelId, 1_234_567);
        assertLastCallCosts(64_500);
        claim(channelId, 2_345_678);
        assertLastCallCosts(64_500);
    }

    function test_gas_claimWithSigner() public {
        IDrainChannel.Opening memory opening = relayedOpening(keccak256("salt"));
        channelId = openWithAuthorization(opening);
        bytes memory signature = signWithProof(sessionKey, channelId, 1_234_567, 1, proofOf(1, opening));
        vm.prank(provider.addr);
        drain.claim(channelId, 1_234_567, 1, signature);
        assertLastCallCosts(66_500);
    }

    function test_gas_claimWithFee() public {
        drain = deployDrain(feeRecipient, 200);
        approveDrain(consumer.addr);
        mintUsdc(feeRecipient, 1);
        openChannel();
        claim(openChannel(), 1_234_567);
        assertLastCallCosts(76_600); // the second transfer 10,200, its event 1,800
    }

    function test_gas_claimBatch() public {
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](50);
        for (uint256 i = 0; i < claims.length; i++) {
            (bytes32 id, uint256 amount) = (openChannel(), 1_234_567 + i);
            claims[i] = IDrainChannel.Claim(id, amount, 1, amount - 1_000, signVoucher(consumer, id, amount, 1));
        }
        vm.prank(provider.addr);
        drain.claimBatch(claims);
        assertLastCallCosts(50 * 18_300);
    }

    function test_gas_claimAndClose() public {
        claimAndClose(channelId, 1_234_567);
        assertLastCallCosts(71_000);
    }

    function test_gas_cooperativeClose() public {
        cooperativeClose(channelId, 1_234_567);
        assertLastCallCosts(70_000);
    }

    function test_gas_close() public {
        vm.warp(EXPIRY);
        close(channelId);
        assertLastCallCosts(51_000);
    }
}
