import {
  type Address,
  concatHex,
  encodeAbiParameters,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  keccak256,
  maxUint256,
  parseAbi,
  stringToHex,
  type TestClient,
} from 'viem'
import { getTransactionCount, setCode } from 'viem/actions'
import {
  signatureCheckerAddress,
  signatureCheckerCode,
  usdcCode,
  usdcProxyCode,
} from './artifacts.generated.ts'
import { sendAll } from './sendAll.ts'

/** What tests call on FiatTokenV2_2 beyond ERC-20; the `issuer` of the local chain may call all of it. */
export const fiatTokenAbi = parseAbi([
  'function mint(address to, uint256 amount) returns (bool)',
  'function pause()',
  'function unpause()',
  'function blacklist(address account)',
  'function unBlacklist(address account)',
  'function balanceOf(address account) view returns (uint256)',
  'function transfer(address to, uint256 amount) returns (bool)',
])

const setUpAbi = parseAbi([
  'function changeAdmin(address newAdmin)',
  'function initialize(string name, string symbol, string currency, uint8 decimals, address masterMinter, address pauser, address blacklister, address owner)',
  'function initializeV2(string name)',
  'function initializeV2_1(address lostAndFound)',
  'function initializeV2_2(address[] accountsToBlacklist, string symbol)',
  'function configureMinter(address minter, uint256 allowance)',
])

/**
 * Deploys Circle's USDC as it is on real chains: FiatTokenV2_2 behind its proxy, initialized up to version 2.2. `issuer`
 * gets every role but the proxy's admin. The steps and their order are those of contracts/test/fixtures/README.md.
 *
 * @param client Of an anvil, on which `issuer` is unlocked.
 */
export async function deployUsdc(client: TestClient, issuer: Address): Promise<Address> {
  await setCode(client, { address: signatureCheckerAddress, bytecode: signatureCheckerCode })
  const nonce = BigInt(await getTransactionCount(client, { address: issuer }))
  const implementation = getContractAddress({ from: issuer, nonce })
  const token = getContractAddress({ from: issuer, nonce: nonce + 1n })
  const call = (data: Hex) => ({ to: token, data })
  await sendAll(client, issuer, [
    { data: usdcCode },
    { data: concatHex([usdcProxyCode, encodeAbiParameters([{ type: 'address' }], [implementation])]) },
    // The proxy answers its admin nothing but admin functions, so that role goes to an address nobody uses.
    call(encodeFunctionData({ abi: setUpAbi, functionName: 'changeAdmin', args: [unused('proxy admin')] })),
    call(
      encodeFunctionData({
        abi: setUpAbi,
        functionName: 'initialize',
        args: ['USD Coin', 'USDC', 'USD', 6, issuer, issuer, issuer, issuer],
      }),
    ),
    call(encodeFunctionData({ abi: setUpAbi, functionName: 'initializeV2', args: ['USD Coin'] })),
    call(
      encodeFunctionData({ abi: setUpAbi, functionName: 'initializeV2_1', args: [unused('lost and found')] }),
    ),
    call(encodeFunctionData({ abi: setUpAbi, functionName: 'initializeV2_2', args: [[], 'USDC'] })),
    call(encodeFunctionData({ abi: setUpAbi, functionName: 'configureMinter', args: [issuer, maxUint256] })),
  ])
  return token
}

function unused(name: string): Address {
  return `0x${keccak256(stringToHex(name)).slice(-40)}`
}
