/** Every library accepts what the contract accepts, and nothing else: contracts/test/Signatures.t.sol runs the same vectors. */
import { readFileSync } from 'node:fs'
import { Deployment, Domain, Signature } from '@drain/core'
import { loadNative, loadWasm } from '@drain/keys'
import { type Address, type Hex, hexToBytes } from 'viem'
import { beforeAll, describe, expect, test } from 'vitest'
import { verifyVoucher } from './verifyVoucher.ts'

const backends = new Map<string, Signature.Secp256k1>([['noble', Signature.noble]])
beforeAll(async () => {
  for (const backend of [loadNative(), await loadWasm()]) if (backend) backends.set(backend.name, backend)
})
const names = ['native', 'wasm', 'noble'] as const
const backend = (name: string) => {
  const found = backends.get(name)
  if (!found) throw new Error(`${name} does not load here`)
  return found
}

type Case = Record<'name' | 'amount' | 'nonce' | 'deposit', string> &
  Record<'channelId' | 'signature', Hex> & { consumer: Address; accepted: boolean }
const vectors = JSON.parse(
  readFileSync(new URL('../../../../vectors/signatures.json', import.meta.url), 'utf8'),
) as { domain: { chainId: number; verifyingContract: Address }; provider: Address; cases: Case[] }
const { provider } = vectors
const { chainId, verifyingContract: contract } = vectors.domain
const deployment = Deployment.from({ chainId, contract, token: contract })
const domainSeparator = hexToBytes(Domain.separator(deployment))

describe.each(names)('%s', (name) => {
  test.each(vectors.cases)('$name: accepted $accepted', (vector) => {
    const [amount, nonce, deposit] = [vector.amount, vector.nonce, vector.deposit].map(BigInt) as [
      bigint,
      bigint,
      bigint,
    ]
    const { channelId, signature, consumer } = vector
    const channel = { id: channelId, consumer, provider, deposit, claimed: 0n, expiry: 2n ** 32n - 1n }
    const context = { provider, deployment, domainSeparator, now: 0n, secp256k1: backend(name) }
    const verdict = verifyVoucher({ channelId, amount, nonce, signature }, channel, context)
    expect(verdict.ok).toBe(vector.accepted)
    if (verdict.ok) expect(verdict.voucher.signature).toBe(signature)
    else expect(verdict.rejection.code).toBe('invalid_signature')
  })
})
