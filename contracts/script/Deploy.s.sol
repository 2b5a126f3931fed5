// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Script, console} from "forge-std/Script.sol";
import {VmSafe} from "forge-std/Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {DrainChannel} from "../src/DrainChannel.sol";
import {IDrainChannel} from "../src/interfaces/IDrainChannel.sol";

/// @notice Deploys DrainChannel at an address that follows from its code, token and fee alone, whoever deploys it; where it
/// is deployed already, writes its deployment record. So it runs twice:
///
///   forge script contracts/script/Deploy.s.sol --rpc-url … --account … --broadcast    # deploys
///   forge script contracts/script/Deploy.s.sol --rpc-url …                            # writes deployments/<chainId>.json
///
/// A record is only ever written of what is on the chain. Running either again changes nothing.
/// @dev Environment: DRAIN_FEE_BPS and DRAIN_FEE_RECIPIENT for a deployment with a fee (none by default); DRAIN_TOKEN for a
/// local chain, whose token isn't known here.
contract Deploy is Script {
    struct Config {
        IERC20Metadata token;
        address feeRecipient;
        uint16 feeBps;
    }

    /// @dev The same on every chain.
    bytes32 public constant SALT = "DrainChannel 1";
    uint256 public constant LOCAL_CHAIN = 31337;

    bytes32 private constant RECEIVE_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );

    /// @notice No token is known for this chain. Known are Polygon (137), Amoy (80002), and 31337 by DRAIN_TOKEN.
    error UnknownChain(uint256 chainId);

    /// @notice Not a token that DRAIN is made for.
    error WrongToken(address token, string reason);

    /// @notice Foundry's CREATE2 deployer is not on this chain: https://github.com/Arachnid/deterministic-deployment-proxy
    error NoCreate2Deployer(address deployer);

    /// @notice What is at the address is not what was asked for.
    error WrongDeployment(address deployed, string reason);

    function run() external {
        Config memory config = configFor(block.chainid, vm.envOr("DRAIN_TOKEN", address(0)));
        config.feeBps = SafeCast.toUint16(vm.envOr("DRAIN_FEE_BPS", uint256(0)));
        config.feeRecipient = vm.envOr("DRAIN_FEE_RECIPIENT", address(0));

        (address drain, bool isNew) = deploy(config);
        if (isNew) {
            console.log("DrainChannel goes to", drain);
            console.log("Run this again without --broadcast when it is mined: that writes the deployment record.");
        } else {
            console.log("DrainChannel is at", drain);
            vm.createDir("deployments", true);
            console.log("Deployment record:", writeRecord(recordPath(block.chainid), drain));
        }
    }

    /// @param localToken The token of a local chain; zero on others.
    function configFor(uint256 chainId, address localToken) public pure returns (Config memory config) {
        if (chainId == 137) config.token = IERC20Metadata(0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359);
        else if (chainId == 80_002) config.token = IERC20Metadata(0x41E94Eb019C0762f9Bfcf9Fb1E58725BfB0e7582);
        else if (chainId == LOCAL_CHAIN && localToken != address(0)) config.token = IERC20Metadata(localToken);
        else revert UnknownChain(chainId);

        if (chainId != LOCAL_CHAIN && localToken != address(0) && localToken != address(config.token)) {
            revert WrongToken(localToken, "DRAIN_TOKEN is not this chain's USDC");
        }
    }

    /// @notice Deploys, unless that is done already; checks the token before and the contract after it.
    function deploy(Config memory config) public returns (address drain, bool isNew) {
        checkToken(config.token);
        if (CREATE2_FACTORY.code.length == 0) revert NoCreate2Deployer(CREATE2_FACTORY);

        drain = addressOf(config);
        isNew = drain.code.length == 0;
        if (isNew) {
            vm.broadcast();
            DrainChannel deployed =
                new DrainChannel{salt: SALT}(IERC20(address(config.token)), config.feeRecipient, config.feeBps);
            if (address(deployed) != drain) revert WrongDeployment(address(deployed), "not at the address computed");
        }
        checkDeployment(IDrainChannel(drain), config);
    }

    /// @notice Where this configuration is, or would be, deployed.
    function addressOf(Config memory config) public pure returns (address) {
        bytes memory arguments = abi.encode(config.token, config.feeRecipient, config.feeBps);
        bytes32 codeHash = keccak256(abi.encodePacked(type(DrainChannel).creationCode, arguments));
        return vm.computeCreate2Address(SALT, codeHash, CREATE2_FACTORY);
    }

    /// @notice Refuses what isn't USDC with EIP-3009: a wrong address here would be a contract nobody can use.
    function checkToken(IERC20Metadata token) public view {
        if (address(token).code.length == 0) revert WrongToken(address(token), "has no code");

        (bool success, bytes memory answer) = address(token).staticcall(abi.encodeCall(token.decimals, ()));
        if (!success || answer.length != 32 || abi.decode(answer, (uint256)) != 6) {
            revert WrongToken(address(token), "decimals() is not 6");
        }

        (success, answer) = address(token).staticcall(abi.encodeCall(token.symbol, ()));
        if (!success || keccak256(answer) != keccak256(abi.encode("USDC"))) {
            revert WrongToken(address(token), "symbol() is not USDC");
        }

        (success, answer) = address(token).staticcall(abi.encodeWithSignature("RECEIVE_WITH_AUTHORIZATION_TYPEHASH()"));
        if (!success || answer.length != 32 || bytes32(answer) != RECEIVE_WITH_AUTHORIZATION_TYPEHASH) {
            revert WrongToken(address(token), "has no EIP-3009 receiveWithAuthorization");
        }
    }

    /// @notice What was deployed by this code at this address can't differ; this says so rather than assuming it.
    function checkDeployment(IDrainChannel drain, Config memory config) public view {
        if (address(drain.token()) != address(config.token)) revert WrongDeployment(address(drain), "token");
        if (drain.feeRecipient() != config.feeRecipient) revert WrongDeployment(address(drain), "fee recipient");
        if (drain.feeBps() != config.feeBps) revert WrongDeployment(address(drain), "fee");
        if (!drain.supportsAuthorization()) revert WrongDeployment(address(drain), "no gasless opens");
    }

    function recordPath(uint256 chainId) public pure returns (string memory) {
        return string.concat("deployments/", vm.toString(chainId), ".json");
    }

    /// @notice Writes what TypeScript needs. `block` is where to start reading events: that of the deployment, if this
    /// machine deployed it or an earlier record says it, otherwise 0.
    function writeRecord(string memory path, address drain) public returns (string memory) {
        IDrainChannel channel = IDrainChannel(drain);
        (uint256 deployedAt, bytes32 transaction) = findTransaction(path, drain);
        string memory record = string.concat(
            '{\n  "chainId": ',
            vm.toString(block.chainid),
            ',\n  "contract": "',
            vm.toString(drain),
            '",\n  "token": "',
            vm.toString(address(channel.token())),
            '",\n  "feeBps": ',
            vm.toString(channel.feeBps())
        );
        record = string.concat(
            record,
            ',\n  "feeRecipient": "',
            vm.toString(channel.feeRecipient()),
            '",\n  "block": ',
            vm.toString(deployedAt)
        );
        if (transaction != 0) record = string.concat(record, ',\n  "transaction": "', vm.toString(transaction), '"');
        vm.writeFile(path, string.concat(record, "\n}\n"));
        return path;
    }

    /// @dev In what `--broadcast` left on this machine, then in the record that is there.
    function findTransaction(string memory path, address drain)
        internal
        view
        returns (uint256 deployedAt, bytes32 transaction)
    {
        try vm.getBroadcast("DrainChannel", uint64(block.chainid), VmSafe.BroadcastTxType.Create2) returns (
            VmSafe.BroadcastTxSummary memory sent
        ) {
            if (sent.contractAddress == drain && sent.success && sent.blockNumber <= block.number) {
                return (sent.blockNumber, sent.txHash);
            }
        } catch {}

        if (!vm.isFile(path)) return (0, 0);
        string memory record = vm.readFile(path);
        if (vm.parseJsonAddress(record, ".contract") != drain) return (0, 0);
        deployedAt = vm.parseJsonUint(record, ".block");
        if (vm.keyExistsJson(record, ".transaction")) transaction = vm.parseJsonBytes32(record, ".transaction");
    }
}
