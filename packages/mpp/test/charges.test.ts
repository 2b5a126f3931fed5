/** Charges by authorization: taken once, cashed once, whoever sends what in between. */
import { memoryLedger, PaymentFailedError, type Paywall } from '@drain/provider'
import { type Hex, parseEventLogs } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { startRpcProxy } from '../../provider/test/RpcProxy.ts'
import type { SignedAuthorization } from '../src/authorization.ts'
import { tokenAbi } from '../src/server/chargeToken.ts'
import { authorize, type Begun, breakable, chargesOf, codeOf, fundsOf, transferWith } from './charging.ts'

let fixture: Fixture
let paywall: Paywall

beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall()
})
afterAll(() => fixture?.close())

const price = 20_000n
const key = (id: number, fingerprint = 1) => ({
  id: `0x${id.toString(16).padStart(64, '0')}` as Hex,
  fingerprint: `0x${fingerprint.toString(16).padStart(64, '0')}` as Hex,
})

const transferOf = (authorization: SignedAuthorization) => transferWith(fixture, authorization)

async function sendAs(authorization: SignedAuthorization) {
  const hash = await fixture.chain.walletClient(fixture.stranger).writeContract(transferOf(authorization))
  return fixture.chain.publicClient.waitForTransactionReceipt({ hash })
}

test('a charge is cashed once, for the whole quote, by a transaction in the journal', async () => {
  const charges = chargesOf(paywall)
  const authorization = await authorize(fixture, price)
  const before = await fixture.balance(fixture.provider.address)
  let txHash: Hex | undefined
  const begun = await charges.begin(authorization, { quote: price }, (settled) => {
    txHash = settled.txHash
  })
  const funds = fundsOf(begun)
  expect(await fixture.balance(fixture.provider.address)).toBe(before)
  expect(await funds.capture(1n, {})).toMatchObject({ ok: true, captured: price, held: 0n })
  expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
  const receipt = await fixture.chain.publicClient.getTransactionReceipt({ hash: txHash as Hex })
  expect(receipt).toMatchObject({ status: 'success' })
  const events = parseEventLogs({ abi: tokenAbi, logs: receipt.logs }).map(({ eventName }) => eventName)
  expect(events).toEqual(['AuthorizationUsed', 'Transfer'])
  expect(await paywall.settler.transactions.isOurs(txHash as Hex)).toBe(true)
  // Again, and in another process that knows nothing but the ledger.
  expect(codeOf(await charges.begin(authorization, { quote: price }))).toBe('invalid_nonce')
  expect(codeOf(await chargesOf(paywall).begin(authorization, { quote: price }))).toBe('invalid_nonce')
  expect(await funds.capture(price, {})).toMatchObject({ ok: false, code: 'reservation_ended' })
  expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
})

test('what was worked for nothing is given back, and may be used then', async () => {
  const charges = chargesOf(paywall)
  const authorization = await authorize(fixture, price)
  const before = await fixture.balance(fixture.provider.address)
  expect(await fundsOf(await charges.begin(authorization, { quote: price })).capture(0n, {})).toMatchObject({
    ok: true,
    captured: 0n,
  })
  expect(await fixture.balance(fixture.provider.address)).toBe(before)
  await fundsOf(await charges.begin(authorization, { quote: price })).capture(price, {})
  expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
})

test('of concurrent copies one is taken', async () => {
  const charges = [chargesOf(paywall), chargesOf(paywall)]
  const authorization = await authorize(fixture, price)
  const begun = await Promise.all(
    Array.from({ length: 6 }, (_, index) => charges[index % 2]?.begin(authorization, { quote: price })),
  )
  const codes = begun.map((one) => codeOf(one as Begun))
  expect(codes.filter((code) => code === 'taken')).toHaveLength(1)
  expect(codes.filter((code) => code === 'invalid_nonce')).toHaveLength(5)
})

test('what is wrong with an authorization is found before anything is written or sent', async () => {
  const charges = chargesOf(paywall)
  const { accounts, testClient, deployment } = fixture.chain
  const now = BigInt(Math.floor(Date.now() / 1_000))
  const good = await authorize(fixture, price)
  const wrong = {
    amount: await authorize(fixture, price - 1n),
    recipient: await authorize(fixture, price, { to: accounts[5]?.address.toLowerCase() as Hex }),
    expired: await authorize(fixture, price, { validBefore: now }),
    endless: await authorize(fixture, price, { validBefore: now + 10_000n }),
    early: await authorize(fixture, price, { validAfter: now + 1_000n }),
    forged: { ...good, from: fixture.stranger.address.toLowerCase() as Hex },
    changed: { ...good, nonce: `0x${'11'.repeat(32)}` as Hex },
    malleable: { ...good, signature: `${good.signature.slice(0, -2)}1d` as Hex },
  }
  const before = await fixture.sent()
  const codes: Record<string, string> = {}
  for (const [name, authorization] of Object.entries(wrong)) {
    codes[name] = codeOf(await charges.begin(authorization, { quote: price }))
  }
  expect(codes).toEqual({
    amount: 'insufficient_funds',
    recipient: 'wrong_provider',
    expired: 'invalid_signature',
    endless: 'invalid_signature',
    early: 'invalid_signature',
    forged: 'invalid_signature',
    changed: 'invalid_signature',
    malleable: 'invalid_signature',
  })
  // What only the chain knows.
  const poor = await authorize(fixture, 20_000_000_000n)
  expect(codeOf(await charges.begin(poor, { quote: 20_000_000_000n }))).toBe('insufficient_funds')
  const used = await authorize(fixture, price)
  await sendAs(used)
  expect(codeOf(await charges.begin(used, { quote: price }))).toBe('invalid_nonce')
  const delegated = accounts[6]
  if (!delegated) throw new Error('no account')
  await testClient.setCode({
    address: delegated.address,
    bytecode: `0xef0100${deployment.contract.slice(2)}` as Hex,
  })
  const coded = await authorize(fixture, price, { signer: delegated })
  expect(codeOf(await charges.begin(coded, { quote: price }))).toBe('invalid_signature')
  await testClient.setCode({ address: delegated.address, bytecode: '0x' })
  expect(await fixture.sent()).toBe(before)
})

test('a charge below what its gas is worth is refused, and one while gas is dear', async () => {
  const authorization = await authorize(fixture, price)
  const dear = chargesOf(paywall, { nativePrice: '5000' })
  await dear.ready()
  expect(dear.minimum).toBeGreaterThan(price)
  expect(codeOf(await dear.begin(authorization, { quote: price }))).toBe('channel_terms')
  const capped = chargesOf(paywall, { maxGasPrice: 1n })
  expect(codeOf(await capped.begin(authorization, { quote: price }))).toBe('channel_terms')
  const small = chargesOf(paywall, { minAmount: '0.03' })
  expect(codeOf(await small.begin(authorization, { quote: price }))).toBe('channel_terms')
  expect(codeOf(await chargesOf(paywall).begin(authorization, { quote: price }))).toBe('taken')
})

test('somebody else may send the transfer: it counts, and is not paid twice', async () => {
  const charges = chargesOf(paywall)
  const authorization = await authorize(fixture, price)
  const before = await fixture.balance(fixture.provider.address)
  let txHash: Hex | undefined
  const begun = await charges.begin(authorization, { quote: price }, (settled) => {
    txHash = settled.txHash
  })
  const { transactionHash } = await sendAs(authorization)
  expect(await fundsOf(begun).capture(price, {})).toMatchObject({ ok: true, captured: price })
  expect(txHash).toBe(transactionHash)
  expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
})

test('a transfer that overtakes ours in the block makes ours fail, and counts', async () => {
  const { testClient, publicClient } = fixture.chain
  const charges = chargesOf(paywall)
  const authorization = await authorize(fixture, price)
  const before = await fixture.balance(fixture.provider.address)
  const funds = fundsOf(await charges.begin(authorization, { quote: price }))
  await testClient.setAutomine(false)
  try {
    const capturing = funds.capture(price, {})
    await expect.poll(async () => (await testClient.getTxpoolStatus()).pending).toBe(1)
    const fees = await publicClient.estimateFeesPerGas()
    const hash = await fixture.chain.walletClient(fixture.stranger).writeContract({
      ...transferOf(authorization),
      gas: 200_000n,
      maxFeePerGas: fees.maxFeePerGas * 10n,
      maxPriorityFeePerGas: fees.maxFeePerGas * 5n,
    })
    await testClient.mine({ blocks: 1 })
    expect(await capturing).toMatchObject({ ok: true, captured: price })
    const receipt = await publicClient.getTransactionReceipt({ hash })
    expect(receipt).toMatchObject({ status: 'success', transactionIndex: 0 })
  } finally {
    await testClient.setAutomine(true)
  }
  expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
})

test('a nonce that was burned for something else pays nothing', async () => {
  const charges = chargesOf(paywall)
  const authorization = await authorize(fixture, price)
  const funds = fundsOf(await charges.begin(authorization, { quote: price }))
  // The payer signs another transfer under the same nonce, to itself.
  await sendAs(
    await authorize(fixture, price, {
      nonce: authorization.nonce,
      to: fixture.stranger.address.toLowerCase() as Hex,
    }),
  )
  await expect(funds.capture(price, {})).rejects.toBeInstanceOf(PaymentFailedError)
  expect(codeOf(await charges.begin(authorization, { quote: price }))).toBe('invalid_nonce')
})

test('under an Idempotency-Key the answer is given again, to the same payer for the same request', async () => {
  const charges = chargesOf(paywall)
  const before = await fixture.balance(fixture.provider.address)
  const authorization = await authorize(fixture, price)
  const answer = new TextEncoder().encode('the answer')
  const funds = fundsOf(await charges.begin(authorization, { quote: price, key: key(1) }))
  const second = await authorize(fixture, price)
  expect(codeOf(await charges.begin(authorization, { quote: price, key: key(1) }))).toBe(
    'idempotency_in_flight',
  )
  expect(codeOf(await charges.begin(second, { quote: price, key: key(1) }))).toBe('idempotency_in_flight')
  await funds.capture(price, { outcome: answer })
  for (const credential of [authorization, second]) {
    let txHash: Hex | undefined
    const again = await charges.begin(credential, { quote: price, key: key(1) }, (settled) => {
      txHash = settled.txHash
    })
    expect(again).toMatchObject({ ok: false, outcome: answer, costs: { cost: 0n } })
    expect(txHash).toMatch(/^0x/)
  }
  expect(codeOf(await charges.begin(second, { quote: price, key: key(1, 2) }))).toBe('idempotency_mismatch')
  const stranger = await authorize(fixture, price, { signer: fixture.stranger })
  expect(codeOf(await charges.begin(stranger, { quote: price, key: key(1) }))).toBe('taken')
  expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
})

test('a transfer that is not mined in time withholds the answer; a retry under the key gets it, paid once', async () => {
  const { testClient } = fixture.chain
  const charges = chargesOf(paywall, { patienceMs: 200 })
  const before = await fixture.balance(fixture.provider.address)
  const sentBefore = await fixture.sent()
  const authorization = await authorize(fixture, price)
  const answer = new TextEncoder().encode('late')
  const funds = fundsOf(await charges.begin(authorization, { quote: price, key: key(7) }))
  await testClient.setAutomine(false)
  try {
    await expect(funds.capture(price, { outcome: answer })).rejects.toMatchObject({
      rejection: { code: 'unavailable' },
    })
    expect(codeOf(await charges.begin(authorization, { quote: price, key: key(7) }))).toBe('unavailable')
    expect(codeOf(await charges.begin(authorization, { quote: price }))).toBe('invalid_nonce')
  } finally {
    await testClient.setAutomine(true)
  }
  await testClient.mine({ blocks: 1 })
  expect(await charges.begin(authorization, { quote: price, key: key(7) })).toMatchObject({ outcome: answer })
  expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
  expect(await fixture.sent()).toBe(sentBefore + 1)
})

test('what a node says of a transfer is believed only with the token’s own events', async () => {
  const { deployment, rpcUrl } = fixture.chain
  const proxy = await startRpcProxy(rpcUrl)
  const deceived = fixture.paywall({ rpcUrl: proxy.url })
  const charges = chargesOf(deceived, { patienceMs: 500 })
  type Log = { address: Hex; topics: Hex[]; data: Hex }
  const lies: Record<string, (logs: Log[]) => Log[]> = {
    none: () => [],
    otherToken: (logs) => logs.map((log) => ({ ...log, address: deployment.contract })),
    otherAmount: (logs) =>
      logs.map((log) => ({ ...log, data: log.data === '0x' ? '0x' : `0x${'01'.padStart(64, '0')}` })),
    noTransfer: (logs) => logs.slice(0, 1),
  }
  try {
    for (const [index, lie] of Object.values(lies).entries()) {
      const authorization = await authorize(fixture, price)
      const funds = fundsOf(await charges.begin(authorization, { quote: price, key: key(20 + index) }))
      proxy.lie = async ({ method }, ask) => {
        const answer = await ask()
        if (method !== 'eth_getTransactionReceipt' || !answer.result) return answer
        const receipt = answer.result as { logs: Log[] }
        return { result: { ...receipt, logs: lie(receipt.logs) } }
      }
      await expect(funds.capture(price, { outcome: new Uint8Array([1]) })).rejects.toMatchObject({
        rejection: { code: 'unavailable' },
      })
      proxy.lie = undefined
      // The truth is asked for again.
      expect(codeOf(await charges.begin(authorization, { quote: price, key: key(20 + index) }))).toBe(
        'answer',
      )
    }
  } finally {
    await proxy.close()
  }
})

test('a store that fails once the transfer is mined withholds no answer, is told, and charges nothing again', async () => {
  let isFull = false
  const failing = fixture.paywall({
    ledger: breakable(
      memoryLedger({ log: () => {} }),
      (_, text) => isFull && text?.includes('"settled"') === true,
    ),
  })
  const told: object[] = []
  const charges = chargesOf(failing, { warn: (message, fields) => void told.push({ message, ...fields }) })
  const before = await fixture.balance(fixture.provider.address)
  const authorization = await authorize(fixture, price)
  const outcome = new TextEncoder().encode('the answer')
  const funds = fundsOf(await charges.begin(authorization, { quote: price, key: key(40) }))
  isFull = true
  expect(await funds.capture(price, { outcome })).toMatchObject({ ok: true, captured: price })
  expect(told).toContainEqual({
    message: 'that a charge is settled is not written down',
    code: 'ledger_unavailable',
  })
  isFull = false
  expect(await charges.begin(authorization, { quote: price, key: key(40) })).toMatchObject({ outcome })
  expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
})

test('a node that fails is told to the operator, without its address', async () => {
  const proxy = await startRpcProxy(fixture.chain.rpcUrl)
  const away = fixture.paywall({ rpcUrl: `${proxy.url}/secret-key` })
  const told: object[] = []
  const charges = chargesOf(away, { warn: (message, fields) => void told.push({ message, ...fields }) })
  await charges.ready()
  proxy.isDown = true
  expect(codeOf(await charges.begin(await authorize(fixture, price), { quote: price }))).toBe('unavailable')
  expect(told).toEqual([
    { message: 'the chain could not be asked about a charge', code: expect.stringMatching(/\w+/) },
  ])
  expect(JSON.stringify(told)).not.toMatch(/secret-key|127\.0\.0\.1/)
  await proxy.close()
})

test('accounts with code pay where that is allowed, as far as the token takes their signature', async () => {
  const charges = chargesOf(paywall, { contractWallets: true })
  const good = await authorize(fixture, price)
  const forged = { ...(await authorize(fixture, price)), from: fixture.stranger.address.toLowerCase() as Hex }
  expect(codeOf(await charges.begin(forged, { quote: price }))).toBe('invalid_signature')
  const outcome = new Uint8Array([1])
  const funds = fundsOf(await charges.begin(good, { quote: price, key: key(30) }))
  expect(await funds.capture(price, { outcome })).toMatchObject({ captured: price })
  // Its answer is for whoever signed, though the token says nothing of a signature that was used.
  expect(codeOf(await charges.begin(good, { quote: price, key: key(30) }))).toBe('answer')
  const guessed = { ...good, signature: forged.signature }
  expect(codeOf(await charges.begin(guessed, { quote: price, key: key(30) }))).toBe('invalid_signature')
})

test('signatures that only the token can judge take nothing of the share of a payer that has paid', async () => {
  const charges = chargesOf(paywall, { contractWallets: true, perMinute: 20 })
  const ask = { quote: price, remoteAddress: '1.2.3.4' }
  await fundsOf(await charges.begin(await authorize(fixture, price), ask)).capture(price, {})
  const codes = new Set<string>()
  for (let index = 0; index < 20; index += 1) {
    const signed = await authorize(fixture, price, { signer: fixture.stranger })
    const from = fixture.consumer.address.toLowerCase() as Hex
    codes.add(codeOf(await charges.begin({ ...signed, from }, ask)))
  }
  expect([...codes]).toEqual(['invalid_signature', 'rate_limited'])
  expect(codeOf(await charges.begin(await authorize(fixture, price), ask))).toBe('taken')
})

test('without gas nothing is taken, and no work is done', async () => {
  const { testClient, publicClient } = fixture.chain
  const { address } = fixture.provider
  const value = await publicClient.getBalance({ address })
  await testClient.setBalance({ address, value: 0n })
  try {
    const begun = await chargesOf(paywall).begin(await authorize(fixture, price), { quote: price })
    expect(codeOf(begun)).toBe('unavailable')
  } finally {
    await testClient.setBalance({ address, value })
  }
})
