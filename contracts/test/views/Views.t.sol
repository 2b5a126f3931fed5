// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "../../src/interfaces/IPaymentChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract ViewsTest is DrainTest {
    function opening() private view returns (IDrainChannel.Opening memory) {
        return IDrainChannel.Opening({
            consumer: consumer.addr,
            provider: provider.addr,
            amount: DEPOSIT,
            duration: DURATION,
            signer: stranger.addr,
            salt: keccak256("salt")
        });
    }

    function test_getChannel_returnsZerosForUnknown() public view {
        assertNoChannel(bytes32(0));
        assertNoChannel(keccak256("unknown"));
    }

    function test_getChannel_returnsTheFiveFields() public {
        bytes32 channelId = openChannel();
        claim(channelId, 1_234_567);
        assertChannel(channelId, consumer.addr, provider.addr, DEPOSIT, 1_234_567, EXPIRY);
    }

    function test_getBalance_returnsZeroForUnknown() public view {
        assertEq(drain.getBalance(keccak256("unknown")), 0);
    }

    function test_getBalance_returnsWhatIsLeft() public {
        bytes32 channelId = openChannel();
        assertEq(drain.getBalance(channelId), DEPOSIT);
        claim(channelId, 1_234_567);
        assertEq(drain.getBalance(channelId), DEPOSIT - 1_234_567);
    }

    function test_computeChannelId_isTheDocumentedHash() public view {
        bytes32 openingHash = keccak256(
            abi.encode(
                keccak256(
                    "Opening(address consumer,address provider,uint256 amount,uint256 duration,address signer,bytes32 salt)"
                ),
                consumer.addr,
                provider.addr,
                DEPOSIT,
                DURATION,
                stranger.addr,
                keccak256("salt")
            )
        );
        for (uint256 kind = 0; kind < 2; kind++) {
            assertEq(
                drain.computeChannelId(kind, opening()),
                keccak256(abi.encode(kind, block.chainid, address(drain), openingHash))
            );
        }
    }

    function test_computeChannelId_changesWithEachField() public view {
        bytes32 channelId = drain.computeChannelId(0, opening());
        assertNotEq(drain.computeChannelId(1, opening()), channelId, "kind");

        IDrainChannel.Opening memory other = opening();
        other.consumer = stranger.addr;
        assertNotEq(drain.computeChannelId(0, other), channelId, "consumer");
        other = opening();
        other.provider = stranger.addr;
        assertNotEq(drain.computeChannelId(0, other), channelId, "provider");
        other = opening();
        other.amount++;
        assertNotEq(drain.computeChannelId(0, other), channelId, "amount");
        other = opening();
        other.duration++;
        assertNotEq(drain.computeChannelId(0, other), channelId, "duration");
        other = opening();
        other.signer = address(0);
        assertNotEq(drain.computeChannelId(0, other), channelId, "signer");
        other = opening();
        other.salt = 0;
        assertNotEq(drain.computeChannelId(0, other), channelId, "salt");
    }

    function test_computeChannelId_changesWithContractAndChain() public {
        bytes32 channelId = drain.computeChannelId(0, opening());
        assertNotEq(deployDrain(address(0), 0).computeChannelId(0, opening()), channelId);
        vm.chainId(80_002);
        assertNotEq(drain.computeChannelId(0, opening()), channelId);
    }

    function test_nonces_isZeroAtFirst() public view {
        assertEq(drain.nonces(consumer.addr), 0);
    }

    function test_domainSeparator_isEip712s() public view {
        assertEq(drain.DOMAIN_SEPARATOR(), domainSeparator(address(drain), block.chainid));
    }

    function test_domainSeparator_followsTheChainId() public {
        vm.chainId(80_002);
        assertEq(drain.DOMAIN_SEPARATOR(), domainSeparator(address(drain), 80_002));
    }

    function test_eip712Domain_returnsTheDomain() public view {
        (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        ) = drain.eip712Domain();
        assertEq(fields, hex"0f");
        assertEq(name, "DrainChannel");
        assertEq(version, "1");
        assertEq(chainId, block.chainid);
        assertEq(verifyingContract, address(drain));
        assertEq(salt, 0);
        assertEq(extensions.length, 0);
    }

    function test_eip712Domain_followsTheChainId() public {
        vm.chainId(80_002);
        (,,, uint256 chainId,,,) = drain.eip712Domain();
        assertEq(chainId, 80_002);
    }

    function test_supportsAuthorization_isTrueForUsdc() public view {
        assertTrue(drain.supportsAuthorization());
    }

    function test_maxDuration_is365Days() public view {
        assertEq(drain.MAX_DURATION(), 365 days);
    }

    function test_storage_takesTwoSlotsPerChannel() public {
        vm.record();
        bytes32 channelId = openChannel();
        assertEq(writtenSlots().length, 3, "two and the nonce");

        vm.record();
        drain.getChannel(channelId);
        (bytes32[] memory reads,) = vm.accesses(address(drain));
        assertEq(distinct(reads).length, 2);
    }

    function test_storage_claimWritesOneSlot() public {
        bytes32 channelId = openChannel();
        vm.record();
        claim(channelId, 1);
        assertEq(writtenSlots().length, 1);
    }

    function test_storage_closeLeavesNothing() public {
        bytes32 channelId = openChannel();
        claim(channelId, 1);
        vm.warp(EXPIRY);
        vm.record();
        close(channelId);
        bytes32[] memory slots = writtenSlots();
        assertEq(slots.length, 2);
        assertEq(vm.load(address(drain), slots[0]), 0);
        assertEq(vm.load(address(drain), slots[1]), 0);
    }

    function writtenSlots() private returns (bytes32[] memory) {
        (, bytes32[] memory writes) = vm.accesses(address(drain));
        return distinct(writes);
    }

    /// @dev Without the optimizer (in `forge coverage`) a packed slot is accessed once per field.
    function distinct(bytes32[] memory slots) private pure returns (bytes32[] memory found) {
        found = new bytes32[](slots.length);
        uint256 count;
        for (uint256 i = 0; i < slots.length; i++) {
            bool seen = false;
            for (uint256 j = 0; j < count; j++) {
                seen = seen || found[j] == slots[i];
            }
            if (!seen) found[count++] = slots[i];
        }
        assembly ("memory-safe") {
            mstore(found, count)
        }
    }

    function test_interface_isErc8190s() public pure {
        assertEq(IPaymentChannel.open.selector, bytes4(keccak256("open(address,uint256,uint256)")));
        assertEq(IPaymentChannel.claim.selector, bytes4(keccak256("claim(bytes32,uint256,uint256,bytes)")));
        assertEq(IPaymentChannel.close.selector, bytes4(keccak256("close(bytes32)")));
        assertEq(
            IPaymentChannel.cooperativeClose.selector, bytes4(keccak256("cooperativeClose(bytes32,uint256,bytes)"))
        );
        assertEq(IPaymentChannel.getChannel.selector, bytes4(keccak256("getChannel(bytes32)")));
        assertEq(IPaymentChannel.getBalance.selector, bytes4(keccak256("getBalance(bytes32)")));
        assertEq(
            IPaymentChannel.ChannelOpened.selector, keccak256("ChannelOpened(bytes32,address,address,uint256,uint256)")
        );
        assertEq(IPaymentChannel.ChannelClaimed.selector, keccak256("ChannelClaimed(bytes32,address,uint256)"));
        assertEq(IPaymentChannel.ChannelClosed.selector, keccak256("ChannelClosed(bytes32,address,uint256)"));
        assertEq(IDrainChannel.FeePaid.selector, keccak256("FeePaid(bytes32,address,uint256)"));
    }

    function test_interface_takesNoEther() public {
        vm.deal(address(this), 2);
        (bool success,) = address(drain).call{value: 1}("");
        assertFalse(success);
        (success,) = address(drain).call{value: 1}(abi.encodeCall(IPaymentChannel.getBalance, (bytes32(0))));
        assertFalse(success);
    }
}
