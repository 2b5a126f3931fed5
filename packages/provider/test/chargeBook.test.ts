/** Payments without a channel, from before their transfers are sent until they are final: what is booked, waited for, sent again or lost. */
import { join } from 'node:path'
import type { Paywall } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { type Hex, keccak256, parseAbi, parseSignature, stringToBytes } from 'viem'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { alarms } from '../src/ledger/alarms.ts'
import { type ChargeBook, createChargeBook, dues, incomes } from '../src/settle/ChargeBook.ts'
import { authorizationAbi } from '../src/settle/chargeEvents.ts'
import { type Fixture, startFixture } from './fixture.ts'
import { tooLong } from './following.ts'
import { type RpcProxy, startRpcProxy } from './RpcProxy.ts'

const value = 20_000n
let fixture: Fixture
let proxy: RpcProxy
let paywall: Paywall
let book: ChargeBook
let count = 0

beforeAll(async () => {
  fixture = await startFixture()
  proxy = await startRpcProxy(fixture.chain.rpcUrl)
})
beforeEach(() => {
  proxy.lie = undefined
  const path = join(fixture.folder, `charges-${count++}.db`)
  paywall = fixture.paywall({ rpcUrl: proxy.url, ledger: sqliteLedger(path, { log: () => {} }) })
  book = bookOf()
})
afterEach(() => paywall.close())
afterAll(async () => {
  await proxy?.close()
  await fixture?.close()
})

function bookOf(finality = 0n): ChargeBook {
  const { client, deployment, provider, ledger, logger, settler } = paywall
  return createChargeBook({
    ...{ client, deployment, provider, finality, transactions: settler.transactions, log: logger },
    notebook: ledger.notebook,
  })
}

async function sign(changes: { nonce?: Hex; to?: Hex; validBefore?: bigint } = {}) {
  const { chainId, deployment, publicClient } = fixture.chain
  const { timestamp } = await publicClient.getBlock()
  const authorization = {
    from: fixture.consumer.address.toLowerCase() as Hex,
    to: fixture.provider.address.toLowerCase() as Hex,
    value,
    validAfter: 0n,
    validBefore: timestamp + 300n,
    nonce: keccak256(stringToBytes(`charge ${process.pid} ${count++}`)),
    ...changes,
  }
  const signature = await fixture.consumer.signTypedData({
    domain: { name: 'USD Coin', version: '2', chainId, verifyingContract: deployment.token },
    types: {
      TransferWithAuthorization: ['from', 'to', 'value', 'validAfter', 'validBefore', 'nonce'].map(
        (name) => ({
          name,
          type: name === 'nonce' ? 'bytes32' : ['from', 'to'].includes(name) ? 'address' : 'uint256',
        }),
      ),
    },
    primaryType: 'TransferWithAuthorization',
    message: authorization,
  })
  return { ...authorization, signature, block: await publicClient.getBlockNumber() }
}
type Signed = Awaited<ReturnType<typeof sign>>

/** Cashes it from somebody else's account, and returns the transaction. */
async function cash({ from, to, validAfter, validBefore, nonce, signature }: Signed): Promise<Hex> {
  const hash = await fixture.chain.walletClient(fixture.stranger).writeContract({
    ...{ address: fixture.chain.deployment.token, abi: authorizationAbi },
    functionName: 'transferWithAuthorization',
    args: [from, to, value, validAfter, validBefore, nonce, signature],
  })
  await fixture.chain.publicClient.waitForTransactionReceipt({ hash })
  return hash
}

async function all<item>(items: AsyncIterable<item>): Promise<item[]> {
  const found = []
  for await (const item of items) found.push(item)
  return found
}
const notes = () => paywall.ledger.notebook
const booked = () => all(incomes(notes()))
const due = () => all(dues(notes()))
const told = () => all(alarms(notes()))
const nothingYet: Hex = `0x${'77'.repeat(32)}`

test('what was paid is income, once, without its signature; gas is counted where we paid it', async () => {
  const [theirs, ours] = [await sign(), await sign()]
  for (const charge of [theirs, ours]) await book.expect(charge)
  await book.poll()
  expect([(await due()).length, await booked()]).toEqual([2, []])

  const hash = await cash(theirs)
  const { from, to, validAfter, validBefore, nonce, signature } = ours
  const call = {
    address: paywall.deployment.token,
    abi: authorizationAbi,
    kind: 'charge',
    takes: [],
  } as const
  const args = [from, to, value, validAfter, validBefore, nonce, signature] as const
  const { transactions } = paywall.settler
  const sent = await transactions.send({ ...call, functionName: 'transferWithAuthorization', args })
  const { receipt } = await transactions.mined(sent)
  const gas = (receipt?.gasUsed ?? 0n) * (receipt?.effectiveGasPrice ?? 0n)
  for (const polled of [book, bookOf(), book]) await polled.poll()
  expect(await due()).toEqual([])
  const found = (await booked()).toSorted((a, b) => Number(a.gasCost - b.gasCost))
  expect(found).toMatchObject([
    { nonce: theirs.nonce, txHash: hash, value, gasCost: 0n },
    { nonce: ours.nonce, txHash: receipt?.transactionHash, value, gasCost: gas },
  ])
  expect(found.some((income) => 'signature' in income)).toBe(false)
  expect([book.gasSpent, bookOf().gasSpent]).toEqual([gas, 0n])
})

test('nothing is income before it is final', async () => {
  const careful = bookOf(3n)
  const charge = await sign()
  await careful.expect(charge)
  await cash(charge)
  await careful.poll()
  expect(await booked()).toEqual([])
  await fixture.chain.testClient.mine({ blocks: 3 })
  await careful.poll()
  expect(await booked()).toHaveLength(1)
})

test('what nothing was given for is forgotten when it ends, without a word and without a transfer', async () => {
  const { timestamp } = await fixture.chain.publicClient.getBlock()
  const charge = await sign({ validBefore: timestamp + 3n })
  await book.expect(charge)
  const before = await fixture.sent()
  await fixture.chain.testClient.mine({ blocks: 4, interval: 1 })
  await book.poll()
  expect([await due(), await booked(), await told()]).toEqual([[], [], []])
  expect(await fixture.sent()).toBe(before)
})

test('what was given something for and isn’t paid is sent again; and no more than three times if that fails', async () => {
  const charge = await sign()
  await book.expect(charge)
  await book.give(charge, nothingYet)
  await book.poll()
  expect(await booked()).toEqual([])
  await paywall.settler.transactions.poll()
  await book.poll()
  expect(await booked()).toMatchObject([{ nonce: charge.nonce, value }])

  // Of another authorization: the token refuses it.
  const { signature } = await sign()
  const doomed = { ...(await sign()), signature }
  await book.expect(doomed)
  await book.give(doomed, nothingYet)
  const before = await fixture.sent()
  for (let round = 0; round < 5; round += 1) await book.poll()
  expect((await due())[0]).toMatchObject({ sentAgain: 3 })
  expect(await fixture.sent()).toBe(before)
})

test('one that was canceled is lost, and told so only if something was given for it', async () => {
  const [given, kept] = [await sign(), await sign()]
  for (const charge of [given, kept]) await book.expect(charge)
  await book.give(given, nothingYet)
  const abi = parseAbi([
    'function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)',
  ])
  for (const { from, nonce } of [given, kept]) {
    const { chainId, deployment, publicClient, walletClient } = fixture.chain
    const { r, s, yParity } = parseSignature(
      await fixture.consumer.signTypedData({
        domain: { name: 'USD Coin', version: '2', chainId, verifyingContract: deployment.token },
        types: {
          CancelAuthorization: [
            { name: 'authorizer', type: 'address' },
            { name: 'nonce', type: 'bytes32' },
          ],
        },
        primaryType: 'CancelAuthorization',
        message: { authorizer: from, nonce },
      }),
    )
    const call = { address: deployment.token, abi, functionName: 'cancelAuthorization' } as const
    const args = [from, nonce, 27 + yParity, r, s] as const
    const hash = await walletClient(fixture.stranger).writeContract({ ...call, args })
    await publicClient.waitForTransactionReceipt({ hash })
  }
  await book.poll()
  expect([await due(), await booked()]).toEqual([[], []])
  expect(await told()).toMatchObject([{ code: 'charge_vanished', charge: given.nonce }])
  await book.poll()
  expect(await told()).toHaveLength(1)
})

test('a node that hides a receipt, or knows nothing of a block, makes it wait: no alarm, no second transfer', async () => {
  const charge = await sign()
  await book.expect(charge)
  await book.give(charge, await cash(charge))
  const before = await fixture.sent()
  proxy.lie = async ({ method }, ask) => (method === 'eth_getTransactionReceipt' ? { result: null } : ask())
  await book.poll()
  expect([await booked(), await told()]).toEqual([[], []])
  proxy.lie = async ({ method }, ask) => {
    if (method === 'eth_getTransactionReceipt') return { result: null }
    return method === 'eth_getLogs' ? { result: [] } : ask()
  }
  await book.poll()
  expect([(await due()).length, await booked(), await told()]).toEqual([1, [], []])
  expect(await fixture.sent()).toBe(before)
  proxy.lie = undefined
  await book.poll()
  expect(await booked()).toHaveLength(1)
})

test('one that the node can’t tell of keeps none of the others waiting', async () => {
  for (const charge of [await sign(), await sign()]) {
    await book.expect(charge)
    await cash(charge)
  }
  const [first, second] = await all(dues(notes()))
  const unreadable = first?.nonce.slice(2) ?? ''
  proxy.lie = async ({ method, params }, ask) =>
    method === 'eth_getLogs' && JSON.stringify(params).includes(unreadable)
      ? { error: { code: -32_000, message: 'query exceeds the range' } }
      : ask()
  await expect(book.poll()).rejects.toMatchObject({ code: 'chain_unavailable' })
  expect((await booked()).map(({ nonce }) => nonce)).toEqual([second?.nonce])
  proxy.lie = undefined
  await book.poll()
  expect(await booked()).toHaveLength(2)
})

test('after a long time away it is found behind a node that refuses long ranges', async () => {
  const charge = await sign()
  await book.expect(charge)
  await cash(charge)
  await fixture.chain.testClient.mine({ blocks: 60 })
  proxy.lie = tooLong(8n)
  await book.poll()
  expect(await booked()).toMatchObject([{ nonce: charge.nonce }])
})
