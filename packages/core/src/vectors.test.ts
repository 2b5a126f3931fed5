import { readFileSync } from 'node:fs'
import type { Address, Hex } from 'viem'
import { expect, test } from 'vitest'
import { bytesToHex, hexToBytes } from './Bytes.ts'
import * as Channel from './Channel.ts'
import * as ChannelRequest from './ChannelRequest.ts'
import * as CloseAuthorization from './CloseAuthorization.ts'
import * as Deployment from './Deployment.ts'
import * as Domain from './Domain.ts'
import * as Pricing from './Pricing.ts'
import * as Quote from './Quote.ts'
import * as Signature from './Signature.ts'
import * as Voucher from './Voucher.ts'

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../../vectors/${name}`, import.meta.url), 'utf8'))
const signatures = read('voucher.json')
const prices = read('pricing.json')

const at = {
  chainId: signatures.domain.chainId as number,
  contract: signatures.domain.verifyingContract as Address,
}
const separator = Domain.separator(at)

type Signed = { digest: Hex; signer: Address; signature: Hex }

test('domain separator', () => {
  expect(separator).toBe(signatures.domain.domainSeparator)
})

test.each(signatures.vouchers as (Signed & { channelId: Hex; amount: string; nonce: string })[])(
  'voucher of $amount',
  ({ digest, signer, signature, ...fields }) => {
    const voucher = {
      channelId: fields.channelId,
      amount: BigInt(fields.amount),
      nonce: BigInt(fields.nonce),
    }
    expect(bytesToHex(Voucher.digest(voucher, separator))).toBe(digest)
    expect(Signature.recoverAddress(Voucher.digest(voucher, separator), signature)).toBe(signer.toLowerCase())
  },
)

test.each(signatures.closeAuthorizations as (Signed & { channelId: Hex; finalAmount: string })[])(
  'close authorization of $finalAmount',
  ({ digest, signer, signature, channelId, finalAmount }) => {
    const computed = CloseAuthorization.digest({ channelId, finalAmount: BigInt(finalAmount) }, separator)
    expect(bytesToHex(computed)).toBe(digest)
    expect(Signature.isValid(computed, signature, signer)).toBe(true)
  },
)

test.each(
  signatures.channelRequests as (Signed & {
    channelId: Hex
    action: ChannelRequest.Action
    deadline: string
  })[],
)('channel request to $action', ({ digest, signer, signature, channelId, action, deadline }) => {
  const computed = ChannelRequest.digest({ channelId, action, deadline: BigInt(deadline) }, separator)
  expect(bytesToHex(computed)).toBe(digest)
  expect(Signature.isValid(computed, signature, signer)).toBe(true)
})

test.each(signatures.invalidSignatures as (Signed & { name: string })[])(
  'refuses $name',
  ({ digest, signer, signature }) => {
    expect(Signature.isValid(hexToBytes(digest), signature, signer)).toBe(false)
  },
)

test.each(signatures.openings as Record<string, string>[])('channel id of opening %#', (vector) => {
  const opening = {
    consumer: vector.consumer as Address,
    provider: vector.provider as Address,
    amount: BigInt(vector.amount as string),
    duration: BigInt(vector.duration as string),
    signer: vector.signer as Address,
    salt: vector.salt as Hex,
  }
  const deployment = Deployment.from({ ...at, token: at.contract })
  expect(Channel.hashOpening(opening)).toBe(vector.opening)
  expect(Channel.computeId(deployment, opening, vector.kind === '0' ? 'direct' : 'relayed')).toBe(
    vector.channelId,
  )
})

test.each(prices.quotes as { name: string; pricing: Pricing.Json; body: unknown; amount: string }[])(
  'quote: $name',
  ({ pricing, body, amount, name: _, ...tokens }) => {
    const quote = Quote.chat(Pricing.fromJson({ type: 'tokens', ...pricing }) as Pricing.Tokens, body)
    expect(quote).toMatchObject({ ...tokens, amount: BigInt(amount) })
  },
)

test.each(prices.costs as { pricing: Pricing.Json; usage: Pricing.Usage; amount: string }[])(
  'cost: $pricing $usage',
  ({ pricing, usage, amount }) => {
    expect(Pricing.cost(Pricing.fromJson(pricing), usage)).toBe(BigInt(amount))
  },
)

test('hashes of 200 random openings, vouchers and closes, on any chain and contract', () => {
  const { hashes } = read('hashes.json') as { hashes: Record<string, string>[] }
  expect(hashes.length).toBeGreaterThanOrEqual(200)
  for (const vector of hashes) {
    const hex = (name: string) => vector[name] as Hex
    const integer = (name: string) => BigInt(vector[name] as string)
    const separator = Domain.separator({ chainId: integer('chainId'), contract: hex('contract') })
    expect(separator).toBe(vector.domainSeparator)
    const opening = {
      consumer: hex('consumer'),
      provider: hex('provider'),
      amount: integer('amount'),
      duration: integer('duration'),
      signer: hex('signer'),
      salt: hex('salt'),
    }
    expect(Channel.hashOpening(opening)).toBe(vector.opening) // also the nonce of a relayed open's authorization
    const at = { chainId: integer('chainId'), contract: hex('contract'), channelIds: 'opening' } as const
    const channelId = hex('channelId')
    expect(Channel.computeId(at, opening, vector.kind === '0' ? 'direct' : 'relayed')).toBe(channelId)
    const [amount, nonce] = [integer('voucherAmount'), integer('nonce')]
    expect(bytesToHex(Voucher.digest({ channelId, amount, nonce }, separator))).toBe(vector.voucher)
    expect(bytesToHex(CloseAuthorization.digest({ channelId, finalAmount: amount }, separator))).toBe(
      vector.closeAuthorization,
    )
  }
})
