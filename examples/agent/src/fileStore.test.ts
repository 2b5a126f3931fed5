import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChannelRecord } from '@drain-protocol/sdk'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { fileStore } from './fileStore.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agent-'))
  path = join(folder, 'channels.json')
})
afterEach(() => rm(folder, { recursive: true }))

const record = (id: number, nonce?: bigint): ChannelRecord => ({
  channelId: `0x${id.toString(16).padStart(64, '0')}`,
  chainId: 31_337,
  contract: `0x${'1'.repeat(40)}`,
  consumer: `0x${'2'.repeat(40)}`,
  provider: `0x${'3'.repeat(40)}`,
  origin: 'http://127.0.0.1:3000',
  expiry: 2n ** 63n,
  duration: 86_400n,
  state: 'open',
  tally: { deposit: 1n, signed: 0n, charged: 0n, delivered: 0n, lost: 0n, inFlight: 0n },
  nonce,
  promised: { day: '2026-01-31', amount: 0n },
})

it('gives the next process what this one put, parallel or not', async () => {
  const store = fileStore(path)
  expect(await store.list()).toEqual([])
  await Promise.all(Array.from({ length: 20 }, (_, id) => store.put(record(id))))
  await store.put(record(3, 7n))
  const expected = Array.from({ length: 20 }, (_, id) => record(id, id === 3 ? 7n : undefined))
  expect(await store.list()).toEqual(expected)
  expect(await fileStore(path).list()).toEqual(expected)
  expect(await readdir(folder)).toEqual(['channels.json'])
})

it('refuses a damaged file and leaves it as it is', async () => {
  await writeFile(path, '[{"channelId"')
  await expect(fileStore(path).list()).rejects.toThrow('is damaged')
  await expect(fileStore(path).put(record(1))).rejects.toThrow('is damaged')
  expect(await readFile(path, 'utf8')).toBe('[{"channelId"')
})
