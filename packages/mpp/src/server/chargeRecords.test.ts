import { memoryLedger, type Notebook } from '@drain/provider'
import type { Address, Hex } from 'viem'
import { expect, test } from 'vitest'
import { createChargeRecords } from './chargeRecords.ts'

const address = (digit: string) => `0x${digit.repeat(40)}` as Address
const token = address('a')
const word = (digit: string) => `0x${digit.repeat(64)}` as Hex

function setUp() {
  let now = 1_000_000
  const identity = { chainId: 31337, contract: address('e'), provider: address('f') }
  const { notebook } = memoryLedger({ now: () => now, log: () => {} })(identity)
  return {
    records: createChargeRecords(notebook, token),
    notebook,
    pass(ms: number) {
      now += ms
    },
  }
}

const charge = {
  ...{ from: address('b'), to: address('c'), value: 7n, validAfter: 0n, validBefore: 2_000n },
  nonce: word('1'),
}
const by = (owner: string) => ({ owner, block: 5n, key: { id: word('2'), fingerprint: word('3') } })

test('a lease is held while it is renewed, and whoever lost it can send nothing', async () => {
  const { records, pass } = setUp()
  expect(await records.take(charge, by('one'))).toEqual({ ok: true })
  pass(50_000)
  expect(await records.renew(charge, 'one')).toBe(true)
  pass(50_000)
  expect(await records.take(charge, by('two'))).toMatchObject({ ok: false, record: { owner: 'one' } })
  pass(10_001)
  expect(await records.take(charge, { ...by('two'), block: 9n })).toEqual({ ok: true })
  expect(await records.renew(charge, 'one')).toBe(false)
  expect(await records.beginSending(charge, 'one', '{}', undefined)).toBe(false)
  // It may have been sent since the first block.
  expect(await records.get(charge)).toMatchObject({ owner: 'two', block: '5' })
  await records.release(charge, 'one')
  expect(await records.beginSending(charge, 'two', '{}', undefined)).toBe(true)
  await records.release(charge, 'two')
  pass(1_000_000)
  expect(await records.take(charge, by('three'))).toMatchObject({ ok: false, record: { state: 'sending' } })
})

test('who has lost the lease leaves no answer behind, releases nothing and overwrites nothing', async () => {
  const { records, pass } = setUp()
  const [late, right] = [new Uint8Array([1]), new Uint8Array([2])]
  await records.take(charge, by('one'))
  pass(60_001)
  await records.revoke(charge)
  expect(await records.beginSending(charge, 'one', '{}', late)).toBe(false)
  expect(await records.answer(charge)).toBeUndefined()
  await records.take(charge, by('two'))
  expect(await records.release(charge, 'one')).toBe(false)
  await records.beginSending(charge, 'two', '{}', right)
  expect(await records.beginSending(charge, 'one', '{}', late)).toBe(false)
  expect(await records.answer(charge)).toEqual(right)
})

test('what is settled stays settled, and what failed is not taken again', async () => {
  const { records, pass } = setUp()
  await records.take(charge, by('one'))
  await records.beginSending(charge, 'one', '{}', undefined)
  await records.fail(charge)
  pass(1_000_000)
  expect(await records.take(charge, by('two'))).toMatchObject({ ok: false, record: { state: 'failed' } })
  await records.settle(charge, word('9'), { goesOn: false })
  await records.fail(charge)
  expect(await records.get(charge)).toMatchObject({ state: 'settled', txHash: word('9') })
})

test('a key is bound to one charge at a time', async () => {
  const { records } = setUp()
  const key = { id: word('2'), fingerprint: word('3') }
  const other = { ...charge, nonce: word('4') }
  const bound = await Promise.all([
    records.bindKey(charge, key, undefined),
    records.bindKey(other, key, undefined),
  ])
  expect(bound).toEqual([true, false])
  const keyed = await records.keyed(charge.from, key.id)
  expect(keyed).toEqual({ nonce: word('1'), fingerprint: word('3'), validBefore: '2000' })
  expect(await records.bindKey(other, key, keyed)).toBe(true)
})

test('a day after its end a charge is forgotten, with its answer and its key', async () => {
  const { records, notebook } = setUp()
  const { key } = by('one')
  await records.take(charge, by('one'))
  await records.bindKey(charge, key, undefined)
  await records.beginSending(charge, 'one', '{}', new Uint8Array([1, 2, 3]))
  expect(await records.answer(charge)).toEqual(new Uint8Array([1, 2, 3]))
  expect(await records.prune(charge.validBefore + 86_399n)).toBe(0)
  expect(await records.prune(charge.validBefore + 86_400n)).toBe(1)
  const left = []
  for await (const note of notebook.read('')) left.push(note.key)
  expect(left).toEqual([])
})

test('a charge that could not come to be sent leaves nothing behind, its answer neither', async () => {
  const { notebook } = setUp()
  const failing: Notebook = {
    read: (...args) => notebook.read(...args),
    write: (key, decide) =>
      notebook.write(key, (text, now) => {
        const decision = decide(text, now)
        if (decision.write?.includes('"sending"')) throw new Error('full')
        return decision
      }),
  }
  const records = createChargeRecords(failing, token)
  await records.take(charge, by('one'))
  await expect(records.beginSending(charge, 'one', '{}', new Uint8Array([1]))).rejects.toThrow('full')
  expect(await records.release(charge, 'one')).toBe(true)
  for await (const note of notebook.read('')) throw new Error(`left: ${note.key}`)
})

test('of those who would send a transfer one may, and when that dies another, who knows of it', async () => {
  const { records, pass } = setUp()
  await records.take(charge, by('one'))
  expect(await records.claim(charge, 0)).toBe(false)
  await records.beginSending(charge, 'one', '{}', undefined)
  const claims = await Promise.all([records.claim(charge, 0), records.claim(charge, 0)])
  expect([claims, await records.claim(charge, 1)]).toEqual([[true, false], false])
  await records.wrote(charge, 0, 5)
  expect(await records.claim(charge, 0)).toBe(false)
  expect(await records.claim(charge, 1)).toBe(true)
  pass(60_001)
  expect(await records.claim(charge, 2)).toBe(true)
  // What is late takes nothing from whoever has it now.
  await records.wrote(charge, 1, 6)
  expect(await records.claim(charge, 3)).toBe(false)
  await records.wrote(charge, 2, undefined)
  expect(await records.get(charge)).toMatchObject({ sent: [5, 6] })
})

test('what nothing was given for is dropped once nobody works for it or sends it', async () => {
  const { records, pass } = setUp()
  await records.take(charge, by('one'))
  await records.beginSending(charge, 'one', '{}', undefined)
  expect(await records.revoke(charge, 0)).toBe(false)
  await records.leave(charge, 'one')
  await records.claim(charge, 0)
  expect([await records.revoke(charge, 0), await records.revoke(charge, 1)]).toEqual([false, false])
  pass(60_001)
  expect([await records.revoke(charge), await records.revoke(charge, 1)]).toEqual([false, true])
  expect(await records.get(charge)).toBeUndefined()
})

test('work that comes to nothing leaves nothing behind, and a key that stands for a newer charge stays', async () => {
  const { records, notebook } = setUp()
  const { key } = by('one')
  const newer = { ...charge, nonce: word('4'), validBefore: 50_000n }
  await records.take(charge, by('one'))
  await records.bindKey(charge, key, undefined)
  await records.release(charge, 'one')
  for await (const note of notebook.read('')) throw new Error(`left: ${note.key}`)

  await records.take(charge, by('one'))
  await records.bindKey(charge, key, undefined)
  await records.fail(charge)
  await records.take(newer, by('two'))
  await records.bindKey(newer, key, await records.keyed(charge.from, key.id))
  expect(await records.prune(charge.validBefore + 86_400n)).toBe(1)
  expect(await records.keyed(charge.from, key.id)).toMatchObject({ nonce: newer.nonce })
  expect(await records.prune(newer.validBefore + 86_400n)).toBe(1)
  for await (const note of notebook.read('')) throw new Error(`left: ${note.key}`)
})
