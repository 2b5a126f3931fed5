/** A second thread recovers the same signers, in order, and nothing is lost with it. */

import { readFileSync } from 'node:fs'
import { Deployment, Domain, SessionKey, Signature, type Voucher } from '@drain/core'
import { loadNative } from '@drain/keys'
import { type Address, type Hex, hexToBytes } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { mostAsked, type RecoveryThread, startRecoveryThread } from './recoveryThread.ts'
import { createSignerRecovery, type SignerRecovery } from './SignerRecovery.ts'
import { recoverVoucherBy, verifySigned, verifyVoucher } from './verifyVoucher.ts'

const native = loadNative()
if (!native) throw new Error('native does not load here')

const open: SignerRecovery[] = []
afterEach(async () => {
  for (const signers of open.splice(0)) await signers.close()
})

/** With a second processor and others that ask, and a look at the thread. */
function create({
  isBusy = true,
  processors = 2,
  secp256k1 = native as Signature.Secp256k1,
  bindings = '',
} = {}) {
  const seen: { thread?: RecoveryThread; asked: number; ended: boolean } = { asked: 0, ended: false }
  const signers = createSignerRecovery({
    secp256k1,
    isBusy: () => isBusy,
    processors,
    start(hear) {
      const end = () => {
        seen.ended = true
        hear.end()
      }
      const thread = startRecoveryThread({ ...hear, end }, bindings || undefined)
      seen.thread = thread
      return {
        get isReady() {
          return thread.isReady
        },
        ask(...question) {
          seen.asked += 1
          thread.ask(...question)
        },
        close: () => thread.close(),
      }
    },
  })
  open.push(signers)
  return { ...signers, seen }
}

/** With its thread up. */
async function createReady() {
  const signers = create()
  signers.recover(first.digest, first.signature)
  await vi.waitUntil(() => signers.seen.thread?.isReady, { timeout: 30_000 })
  return signers
}

type Signed = { digest: Uint8Array; signature: Hex; signer: Address }
const signed: Signed[] = await Promise.all(
  Array.from({ length: 3 * mostAsked }, async (_, index) => {
    const account = privateKeyToAccount(`0x${(index + 1).toString(16).padStart(64, '0')}`)
    const hash = `0x${(index + 1).toString(16).padStart(2, '0').repeat(32)}` as const
    const signature = await account.sign({ hash })
    return { digest: hexToBytes(hash), signature, signer: account.address.toLowerCase() as Address }
  }),
)
const first = signed[0] as Signed
const expected = signed.map(({ signer }) => signer)
const recoverAll = ({ recover }: Pick<SignerRecovery, 'recover'>) =>
  signed.map(({ digest, signature }) => recover(digest, signature))

describe('the same verdict from the thread', () => {
  type Case = Record<'name' | 'amount' | 'nonce' | 'deposit', string> &
    Record<'channelId' | 'signature', Hex> & { consumer: Address; accepted: boolean }
  const { domain, provider, cases } = JSON.parse(
    readFileSync(new URL('../../../../vectors/signatures.json', import.meta.url), 'utf8'),
  ) as { domain: { chainId: number; verifyingContract: Address }; provider: Address; cases: Case[] }
  const { chainId, verifyingContract: contract } = domain
  const deployment = Deployment.from({ chainId, contract, token: contract })
  const context = { provider, deployment, domainSeparator: Domain.separator(deployment), now: 0n }

  let signers: Awaited<ReturnType<typeof createReady>>
  beforeAll(async () => {
    signers = await createReady()
    open.pop()
  })
  afterAll(() => signers.close())

  test.each(cases)('$name: accepted $accepted', async ({ accepted, ...vector }) => {
    const { channelId, signature, consumer } = vector
    const voucher: Voucher.Voucher = {
      ...{ channelId, signature },
      ...{ amount: BigInt(vector.amount), nonce: BigInt(vector.nonce) },
    }
    const deposit = BigInt(vector.deposit)
    const channel = { id: channelId, consumer, provider, deposit, claimed: 0n, expiry: 2n ** 32n - 1n }
    const before = signers.seen.asked
    const verdict = verifySigned(voucher, await recoverVoucherBy(signers, voucher, context), channel, context)
    expect(verdict).toEqual(verifyVoucher(voucher, channel, { ...context, secp256k1: native }))
    expect(verdict.ok).toBe(accepted)
    // What is malformed is no work for it.
    const isMalformed = Signature.parse(SessionKey.ownPart(signature), new Uint8Array(64)) === undefined
    expect(signers.seen.asked - before).toBe(isMalformed ? 0 : 1)
  })
})

test('many at once: each gets its own, and what is too much for the thread is recovered here', async () => {
  const signers = await createReady()
  for (let round = 0; round < 3; round++) {
    const given = recoverAll(signers)
    expect(given.filter((one) => one instanceof Promise)).toHaveLength(mostAsked)
    expect(await Promise.all(given)).toEqual(expected)
  }
  expect(signers.seen.asked).toBe(3 * mostAsked)
})

test('what was asked first is answered first', async () => {
  const signers = await createReady()
  const order: number[] = []
  await Promise.all(
    signed.slice(0, mostAsked).map(async ({ digest, signature }, index) => {
      await signers.recover(digest, signature)
      order.push(index)
    }),
  )
  expect(order).toEqual(order.toSorted((a, b) => a - b))
})

test('more keys than the counters’ slots, one after the other', async () => {
  const signers = await createReady()
  for (const { digest, signature, signer } of signed)
    expect(await signers.recover(digest, signature)).toBe(signer)
  expect(signers.seen.asked).toBe(signed.length)
})

test.each([
  ['nobody else asks', { isBusy: false }],
  ['there is one processor', { processors: 1 }],
  ['the library is another', { secp256k1: Signature.noble }],
])('without a thread where %s', (_, options) => {
  const signers = create(options)
  expect(recoverAll(signers)).toEqual(expected)
  expect(signers.seen.thread).toBeUndefined()
})

test('a thread that is killed in the middle takes nothing along', async () => {
  const signers = await createReady()
  const given = recoverAll(signers)
  expect(signers.seen.asked).toBe(mostAsked)
  await signers.seen.thread?.close()
  expect(await Promise.all(given)).toEqual(expected)
  expect(recoverAll(signers)).toEqual(expected)
})

test('a thread that breaks by itself takes nothing along', async () => {
  const signers = create({ bindings: '/nowhere/bindings.js' })
  expect(recoverAll(signers)).toEqual(expected)
  await vi.waitUntil(() => signers.seen.ended, { timeout: 30_000 })
  expect(recoverAll(signers)).toEqual(expected)
  expect(signers.seen.asked).toBe(0)
})

test('nobody waits until it is up', () => {
  const signers = create()
  expect(recoverAll(signers)).toEqual(expected)
  expect(signers.seen).toMatchObject({ asked: 0, ended: false })
})

test('a thread that cannot start is not needed', () => {
  const start = () => {
    throw new Error('no threads')
  }
  const signers = createSignerRecovery({ secp256k1: native, isBusy: () => true, processors: 2, start })
  expect(recoverAll(signers)).toEqual(expected)
})

test('closed in the middle it answers all, and goes on without a thread', async () => {
  const signers = await createReady()
  const given = recoverAll(signers)
  await signers.close()
  expect(await Promise.all(given)).toEqual(expected)
  expect(signers.seen.ended).toBe(true)
  expect(recoverAll(signers)).toEqual(expected)
})
