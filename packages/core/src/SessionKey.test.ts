import { readFileSync } from 'node:fs'
import type { Address, Hex } from 'viem'
import { describe, expect, test } from 'vitest'
import * as ChannelRequest from './ChannelRequest.ts'
import * as Deployment from './Deployment.ts'
import * as Domain from './Domain.ts'
import { InvalidFormatError } from './Errors.ts'
import * as SessionKey from './SessionKey.ts'
import * as Voucher from './Voucher.ts'

type Vector = Record<'kind' | 'deposit' | 'duration' | 'amount' | 'nonce', string> &
  Record<'salt' | 'channelId' | 'proof' | 'signature', Hex> &
  Record<'consumer' | 'provider' | 'signer', Address>
const vectors = JSON.parse(
  readFileSync(new URL('../../../vectors/voucher.json', import.meta.url), 'utf8'),
) as {
  domain: { chainId: number; verifyingContract: Address }
  sessionVouchers: Vector[]
  invalidSessionSignatures: { name: string; signature: Hex }[]
}
const { chainId, verifyingContract: contract } = vectors.domain
const deployment = Deployment.from({ chainId, contract, token: contract })
const separator = Domain.separator(deployment)

function read(vector: Vector) {
  const { channelId, consumer, provider, signature } = vector
  const voucher = { channelId, amount: BigInt(vector.amount), nonce: BigInt(vector.nonce), signature }
  const channel = { id: channelId, consumer, provider, deposit: BigInt(vector.deposit) }
  return { voucher, channel, digest: Voucher.digest(voucher, separator) }
}

describe.each(vectors.sessionVouchers)('a voucher with the proof $proof', (vector) => {
  const { channel, digest } = read(vector)
  const { proof, signature, signer } = vector
  const own = signature.slice(0, 132) as Hex
  const signed = (text: Hex) => SessionKey.recover(digest, text) as SessionKey.Signed

  test('is proven by what the opening was', () => {
    const opening = { duration: BigInt(vector.duration), signer, salt: vector.salt }
    expect(SessionKey.encodeProof(opening, vector.kind === '0' ? 'direct' : 'relayed')).toBe(proof)
    expect(SessionKey.provenSigner(proof, channel, deployment)).toBe(signer.toLowerCase())
  })

  test('is accepted, and once its proof is known without it', () => {
    expect(SessionKey.accept(signed(signature), channel, deployment)).toEqual({ signature, proof })
    expect(SessionKey.accept(signed(own), channel, deployment)).toBeUndefined()
    const known = { ...channel, proof }
    expect(SessionKey.accept(signed(own), known, deployment)).toEqual({ signature, proof })
    expect(SessionKey.accept(signed(signature), known, deployment)).toEqual({ signature, proof })
  })

  test('is nothing on another channel, chain or contract', () => {
    const others = [
      [{ ...channel, id: `0x${'ab'.repeat(32)}` as const }, deployment],
      [{ ...channel, deposit: channel.deposit + 1n }, deployment],
      [{ ...channel, provider: channel.consumer }, deployment],
      [channel, { ...deployment, chainId: 1 }],
      [channel, { ...deployment, contract: channel.provider }],
      [channel, { ...deployment, channelIds: 'timestamp' }],
      [channel, { ...deployment, features: ['open', 'claim', 'close'] }],
    ] as const
    for (const [channel, at] of others) {
      expect(SessionKey.accept(signed(signature), channel, at)).toBeUndefined()
    }
    const known = { ...channel, proof }
    expect(SessionKey.accept(signed(own), known, { ...deployment, channelIds: 'timestamp' })).toBeUndefined()
  })
})

test.each(vectors.invalidSessionSignatures)('refuses $name', ({ signature }) => {
  const { channel, digest } = read(vectors.sessionVouchers[2] as Vector)
  const signed = SessionKey.recover(digest, signature)
  expect(signed && SessionKey.accept(signed, channel, deployment)).toBeUndefined()
})

test('a request about a channel may bring the proof along, and nothing else', () => {
  const { signature } = vectors.sessionVouchers[0] as Vector
  const deadline = '1800000000'
  for (const length of [65, 193]) {
    const text = signature.slice(0, 2 + 2 * length) as Hex
    expect(ChannelRequest.fromJson({ deadline, signature: text })).toEqual({
      deadline: 1_800_000_000n,
      signature: text,
    })
  }
  for (const length of [0, 64, 66, 192, 194]) {
    const text = `${signature}ff`.slice(0, 2 + 2 * length)
    expect(() => ChannelRequest.fromJson({ deadline, signature: text })).toThrow(InvalidFormatError)
  }
})
