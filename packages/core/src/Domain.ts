/** The EIP-712 domain of a DrainChannel contract: `DrainChannel`, `1`, chain id, contract. */
import { type Address, type Hex, keccak256, stringToHex } from 'viem'
import { bytesToHex, hashWords } from './Bytes.ts'

/** What an EIP-712 signature is bound to. */
export type Domain = { name: 'DrainChannel'; version: '1'; chainId: number; verifyingContract: Address }

export const name = 'DrainChannel'
export const version = '1'

const typeHash = keccak256(
  stringToHex('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)'),
)
const nameHash = keccak256(stringToHex(name))
const versionHash = keccak256(stringToHex(version))

/** The domain of the contract at `contract` on `chainId`. */
export function from(deployment: { chainId: number; contract: Address }): Domain {
  return { name, version, chainId: deployment.chainId, verifyingContract: deployment.contract }
}

/** `DOMAIN_SEPARATOR()` of the contract. Compute it once per deployment. */
export function separator(deployment: { chainId: number | bigint; contract: Address }): Hex {
  return bytesToHex(
    hashWords(typeHash, nameHash, versionHash, BigInt(deployment.chainId), deployment.contract),
  )
}
