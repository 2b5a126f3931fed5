// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IDrainChannel} from "../src/interfaces/IDrainChannel.sol";
import {UsdcTest} from "./Usdc.sol";

/// @notice What the contract does with each signature of vectors/signatures.json, in all three functions that take vouchers.
/// The off-chain checks read the same file and must accept exactly the same.
contract SignaturesTest is UsdcTest {
    struct SignatureVector {
        string name;
        bool accepted;
        bytes32 channelId;
        address consumer;
        uint256 deposit;
        uint256 amount;
        uint256 nonce;
        bytes signature;
    }

    /// @dev Of `_channels`, behind the two strings of OpenZeppelin's EIP712. `plant` notices when it moves.
    uint256 private constant CHANNELS_SLOT = 2;
    uint256 private constant EXPIRY = 1_900_000_000;

    string private json;
    IDrainChannel private drain;
    address private provider;

    function setUp() public {
        json = vm.readFile("vectors/signatures.json");
        vm.warp(1_800_000_000);
        vm.chainId(vm.parseJsonUint(json, ".domain.chainId"));
        usdc = deployUsdc();
        drain = IDrainChannel(vm.parseJsonAddress(json, ".domain.verifyingContract"));
        deployCodeTo("DrainChannel.sol:DrainChannel", abi.encode(IERC20(address(usdc)), address(0), 0), address(drain));
        mintUsdc(address(drain), 1_000_000e6);
        provider = vm.parseJsonAddress(json, ".provider");
    }

    /// @dev Puts a channel where an opening would have put it: some consumers here have keys that nobody knows.
    function plant(SignatureVector memory v) private {
        bytes32 slot = keccak256(abi.encode(v.channelId, CHANNELS_SLOT));
        uint256 first = uint256(uint160(v.consumer)) | v.deposit << 160 | EXPIRY << 224;
        vm.store(address(drain), slot, bytes32(first));
        vm.store(address(drain), bytes32(uint256(slot) + 1), bytes32(uint256(uint160(provider))));

        (address c, address p, uint256 deposit, uint256 claimed, uint256 expiry) = drain.getChannel(v.channelId);
        assertEq(c, v.consumer, v.name);
        assertEq(p, provider, v.name);
        assertEq(deposit, v.deposit, v.name);
        assertEq(claimed, 0, v.name);
        assertEq(expiry, EXPIRY, v.name);
    }

    function read() private view returns (SignatureVector[] memory vectors) {
        vectors = abi.decode(
            vm.parseJsonTypeArray(
                json,
                ".cases",
                "V(string name,bool accepted,bytes32 channelId,address consumer,uint256 deposit,uint256 amount,uint256 nonce,bytes signature)"
            ),
            (SignatureVector[])
        );
        assertGt(vectors.length, 100);
    }

    function assertSame(SignatureVector memory v, bool success, bytes memory answer) private pure {
        assertEq(success, v.accepted, v.name);
        // forge-lint: disable-next-line(unsafe-typecast)
        if (!success) assertEq(bytes4(answer), IDrainChannel.InvalidSignature.selector, v.name);
    }

    function test_signatures_claim() public {
        SignatureVector[] memory vectors = read();
        for (uint256 i = 0; i < vectors.length; i++) {
            SignatureVector memory v = vectors[i];
            plant(v);
            vm.prank(provider);
            (bool success, bytes memory answer) =
                address(drain).call(abi.encodeCall(drain.claim, (v.channelId, v.amount, v.nonce, v.signature)));
            assertSame(v, success, answer);
        }
    }

    function test_signatures_claimAndClose() public {
        SignatureVector[] memory vectors = read();
        for (uint256 i = 0; i < vectors.length; i++) {
            SignatureVector memory v = vectors[i];
            plant(v);
            vm.prank(provider);
            (bool success, bytes memory answer) = address(drain)
                .call(abi.encodeCall(drain.claimAndClose, (v.channelId, v.amount, v.nonce, v.amount, v.signature)));
            assertSame(v, success, answer);
        }
    }

    function test_signatures_claimBatch() public {
        SignatureVector[] memory vectors = read();
        for (uint256 i = 0; i < vectors.length; i++) {
            SignatureVector memory v = vectors[i];
            plant(v);
            IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](1);
            claims[0] = IDrainChannel.Claim(v.channelId, v.amount, v.nonce, v.amount, v.signature);
            vm.prank(provider);
            assertEq(drain.claimBatch(claims), v.accepted ? v.amount : 0, v.name);
        }
    }
}
