/** Charges whose transfer fails, or whose process stalls: nothing is called untaken that may be taken yet, and a key pays once. */
import { memoryLedger, type Paywall } from '@drain/provider'
import { createPublicClient, erc20Abi, http, type LocalAccount } from 'viem'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { tooLong } from '../../provider/test/following.ts'
import { startRpcProxy } from '../../provider/test/RpcProxy.ts'
import type { SignedAuthorization } from '../src/authorization.ts'
import { authorize, type Begun, chargesOf, codeOf, fundsOf, moveUsdc, uses } from './charging.ts'

let fixture: Fixture
let paywall: Paywall
const price = 20_000n
const answer = new TextEncoder().encode('the answer')
const keyOf = ({ nonce }: SignedAuthorization) => ({ id: nonce, fingerprint: nonce })

beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall({ finality: 5n, settle: { nativePrice: '0.000001' } })
  await paywall.ready()
})
afterAll(() => fixture?.close())

describe('a transfer that is mined and fails, since the payer’s money was gone in the block before', () => {
  /** Lets the transfer of what `cash` sends fail, and returns the chain as it was before. */
  async function robbed<result>(
    thief: LocalAccount,
    cash: () => Promise<result>,
    { isWaitedFor = true }: { isWaitedFor?: boolean } = {},
  ) {
    const { testClient, publicClient, walletClient, deployment } = fixture.chain
    const args = [fixture.stranger.address, await fixture.balance(thief.address)] as const
    const { maxFeePerGas } = await publicClient.estimateFeesPerGas()
    const snapshot = await testClient.snapshot()
    await testClient.setAutomine(false)
    try {
      const cashing = cash()
      await expect.poll(async () => (await testClient.getTxpoolStatus()).pending).toBe(1)
      if (!isWaitedFor) await cashing
      await walletClient(thief).writeContract({
        ...{ address: deployment.token, abi: erc20Abi, functionName: 'transfer', args, gas: 100_000n },
        ...{ maxFeePerGas: maxFeePerGas * 10n, maxPriorityFeePerGas: maxFeePerGas * 5n },
      })
      await testClient.mine({ blocks: 1 })
      return { result: await cashing, snapshot }
    } finally {
      await testClient.setAutomine(true)
    }
  }

  /** Takes a charge that fails. */
  async function fail(charges: ReturnType<typeof chargesOf>, thief: LocalAccount) {
    const authorization = await authorize(fixture, price, { signer: thief })
    const key = keyOf(authorization)
    const begun = await charges.begin(authorization, { quote: price, key })
    if (!begun.ok) throw new Error('refused')
    const capture = () => begun.funds.capture(price, { outcome: answer }).catch((error) => error)
    const { result, snapshot } = await robbed(thief, capture)
    expect(result).toMatchObject({ rejection: { code: 'unavailable' } })
    const retry = (by = charges): Promise<Begun> => by.begin(authorization, { quote: price, key })
    return { authorization, key, snapshot, retry }
  }

  /** What has failed stays so, and the payer has money again. */
  async function restore(thief: LocalAccount): Promise<void> {
    await moveUsdc(fixture, fixture.stranger, thief.address)
    await fixture.chain.testClient.mine({ blocks: 6 })
    await paywall.settler.transactions.poll()
  }

  test('is sent again when a reorganisation takes that back, and the answer is there for whoever has the key', async () => {
    const thief = fixture.chain.accounts[7] as LocalAccount
    const charges = chargesOf(paywall)
    const { authorization, key, snapshot } = await fail(charges, thief)
    expect(await charges.begin(authorization, { quote: price, key })).toMatchObject({
      rejection: { code: 'unavailable' },
    })
    await fixture.chain.testClient.revert({ id: snapshot })
    await expect
      .poll(() => charges.begin(authorization, { quote: price, key }), { timeout: 20_000 })
      .toMatchObject({ ok: false, outcome: answer })
    expect(await uses(fixture, authorization)).toBe(1)
  })

  test('counts against the payer at once, and is over once that is final', async () => {
    const thief = fixture.chain.accounts[8] as LocalAccount
    const charges = chargesOf(paywall, { failuresPerPayer: 1 })
    const { authorization, key } = await fail(charges, thief)
    const next = await authorize(fixture, price, { signer: thief })
    expect(await charges.begin(next, { quote: price })).toMatchObject({
      rejection: { code: 'rate_limited', message: expect.stringContaining('today') },
    })
    await fixture.chain.testClient.mine({ blocks: 6 })
    await paywall.settler.transactions.poll()
    expect(await charges.begin(authorization, { quote: price, key })).toMatchObject({
      rejection: { code: 'invalid_nonce' },
    })
    expect(await uses(fixture, authorization)).toBe(0)
  })

  test('is sent once more when that is final, if its payer has the money again', async () => {
    const thief = fixture.chain.accounts[5] as LocalAccount
    const { authorization, retry } = await fail(chargesOf(paywall), thief)
    await restore(thief)
    expect(await retry()).toMatchObject({ ok: false, outcome: answer })
    expect(await uses(fixture, authorization)).toBe(1)
  })

  test('is not sent a third time, by no process, and each of the two counts against the payer', async () => {
    const thief = fixture.chain.accounts[6] as LocalAccount
    const charges = chargesOf(paywall, { failuresPerPayer: 2 })
    const { authorization, retry } = await fail(charges, thief)
    await restore(thief)
    const sent = await fixture.sent()
    expect(codeOf((await robbed(thief, retry)).result)).toBe('unavailable')
    expect(await fixture.sent()).toBe(sent + 1)
    await restore(thief)
    const next = await authorize(fixture, price, { signer: thief })
    expect(codeOf(await charges.begin(next, { quote: price }))).toBe('rate_limited')
    const other = chargesOf(paywall)
    expect([codeOf(await retry(other)), codeOf(await retry())]).toEqual(['invalid_nonce', 'invalid_nonce'])
    expect([await fixture.sent(), await uses(fixture, authorization)]).toEqual([sent + 1, 0])
  })

  test('counts against the payer also when nobody waited for it any more, and nobody comes again', async () => {
    const thief = fixture.chain.accounts[3] as LocalAccount
    const charges = chargesOf(paywall, { failuresPerPayer: 1, patienceMs: 1 })
    const authorization = await authorize(fixture, price, { signer: thief })
    const begun = await charges.begin(authorization, { quote: price })
    if (!begun.ok) throw new Error('refused')
    const capture = () => begun.funds.capture(price, {}).catch((error) => error)
    const { result } = await robbed(thief, capture, { isWaitedFor: false })
    expect(result).toMatchObject({ rejection: { message: expect.stringContaining('not known to be mined') } })
    await moveUsdc(fixture, fixture.stranger, thief.address)
    await paywall.settler.transactions.poll()
    const next = await authorize(fixture, price, { signer: thief })
    await expect
      .poll(() => charges.begin(next, { quote: price }))
      .toMatchObject({ rejection: { code: 'rate_limited', message: expect.stringContaining('today') } })
    await fixture.chain.testClient.mine({ blocks: 6 })
    await paywall.settler.transactions.poll()
  })

  test('is not sent again for a payer that may not fail once more', async () => {
    const thief = fixture.chain.accounts[4] as LocalAccount
    const { authorization, retry } = await fail(chargesOf(paywall, { failuresPerPayer: 1 }), thief)
    await restore(thief)
    const sent = await fixture.sent()
    expect(codeOf(await retry())).toBe('invalid_nonce')
    expect([await fixture.sent(), await uses(fixture, authorization)]).toEqual([sent, 0])
  })
})

test('a transfer whose nonce the operator has used is sent anew, and not held against the payer', async () => {
  const { testClient, publicClient, walletClient } = fixture.chain
  const charges = chargesOf(paywall, { failuresPerPayer: 1, patienceMs: 1 })
  const authorization = await authorize(fixture, price)
  const ask = { quote: price, key: keyOf(authorization) }
  const begun = await charges.begin(authorization, ask)
  if (!begun.ok) throw new Error('refused')
  const nonce = await fixture.sent()
  const { maxFeePerGas } = await publicClient.estimateFeesPerGas()
  await testClient.setAutomine(false)
  try {
    await expect(begun.funds.capture(price, { outcome: answer })).rejects.toThrow()
    await walletClient(fixture.provider).sendTransaction({
      ...{ to: fixture.provider.address, nonce, gas: 21_000n },
      ...{ maxFeePerGas: maxFeePerGas * 10n, maxPriorityFeePerGas: maxFeePerGas * 5n },
    })
    await testClient.mine({ blocks: 7 })
  } finally {
    await testClient.setAutomine(true)
  }
  await paywall.settler.transactions.poll()
  expect(await chargesOf(paywall, { failuresPerPayer: 1 }).begin(authorization, ask)).toMatchObject({
    outcome: answer,
  })
  expect(await uses(fixture, authorization)).toBe(1)
})

test('a process that stalled charges nothing under a key that has gone on to another charge', async () => {
  let now = Date.now()
  const clock = () => now
  const ledger = memoryLedger({ now: clock, log: () => {} })
  const charges = chargesOf(fixture.paywall({ clock, ledger }), { clock })
  const [stalled, fresh] = [await authorize(fixture, price), await authorize(fixture, price)]
  const before = await fixture.balance(fixture.provider.address)
  const key = keyOf(stalled)
  const slow = await charges.begin(stalled, { quote: price, key })
  now += 61_000
  const quick = await charges.begin(fresh, { quote: price, key })
  if (!slow.ok || !quick.ok) throw new Error('refused')
  await quick.funds.capture(price, { outcome: answer })
  await expect(slow.funds.capture(price, { outcome: answer })).rejects.toThrow()
  expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
  expect(await charges.begin(stalled, { quote: price, key })).toMatchObject({ outcome: answer })
  // What is paid is answered, though nothing new is taken of what ends so soon.
  now += 200_000
  expect(await charges.begin(fresh, { quote: price, key })).toMatchObject({ outcome: answer })
  const late = await authorize(fixture, price, { validBefore: fresh.validBefore })
  expect(await charges.begin(late, { quote: price })).toMatchObject({
    rejection: { problem: 'payment-expired' },
  })
})

test('a retry finds what was paid long ago behind a node that refuses long ranges', async () => {
  const { testClient, rpcUrl } = fixture.chain
  const authorization = await authorize(fixture, price)
  const ask = { quote: price, key: keyOf(authorization) }
  const begun = await chargesOf(paywall, { patienceMs: 200 }).begin(authorization, ask)
  await testClient.setAutomine(false)
  try {
    await expect(fundsOf(begun).capture(price, { outcome: answer })).rejects.toThrow()
  } finally {
    await testClient.setAutomine(true)
  }
  await testClient.mine({ blocks: 60 })
  await paywall.settler.transactions.poll()
  const proxy = await startRpcProxy(rpcUrl)
  proxy.lie = tooLong(8n)
  try {
    const charges = chargesOf(paywall, {
      client: createPublicClient({ transport: http(proxy.url, { retryCount: 0 }) }),
    })
    expect(await charges.begin(authorization, ask)).toMatchObject({ ok: false, outcome: answer })
  } finally {
    await proxy.close()
  }
})
