/** Beginning and ending. */
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OutwardError } from '../src/net/OutwardError.ts'
import { type StartOptions, startDirectory } from '../src/startDirectory.ts'
import type { Database } from '../src/store/Database.ts'
import { openSqlite } from '../src/store/sqlite.ts'

let database: Database
beforeEach(async () => {
  database = await openSqlite(':memory:')
})
afterEach(() => database?.close())

const start = (options: Partial<StartOptions> = {}) =>
  startDirectory({ database, port: 0, log: pino({ level: 'silent' }), ...options })

/** A way out that answers when it is told. */
function heldOutward() {
  let fail = () => {}
  let asked = () => {}
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve
  })
  const answer = new Promise<never>((_, reject) => {
    fail = () => reject(new OutwardError('unreachable', 'Nobody is there.', 'Be there.'))
  })
  answer.catch(() => undefined)
  const outward = async () => {
    asked()
    return answer
  }
  return { outward, isAsked, fail: () => fail() }
}

const testOf = (url: string) =>
  fetch(`${url}/api/directory/test`, {
    ...{ method: 'POST', headers: { 'Content-Type': 'application/json' } },
    body: JSON.stringify({ apiUrl: 'https://one.example' }),
  }).then((response) => response.text())

describe('a directory that is closed', () => {
  it('answers what is under way, takes nothing new, and leaves the database to whoever opened it', async () => {
    const { outward, isAsked, fail } = heldOutward()
    const directory = await start({ outward })
    const answer = testOf(directory.url)
    await isAsked
    let isClosed = false
    const closed = directory.close().then(() => {
      isClosed = true
    })
    await expect.poll(() => fetch(`${directory.url}/health`).catch(() => 'refused')).toBe('refused')
    expect(isClosed).toBe(false)
    fail()
    expect((await answer).trim().split('\n').at(-1)).toBe('{"done":true,"passed":false}')
    await closed
    expect(await database.one('SELECT 1 AS one')).toEqual({ one: 1 })
    await directory.close()
  })

  it('does not wait for connections that nothing is asked on', async () => {
    const directory = await start()
    const agent = new Agent({ keepAlive: true })
    await new Promise<void>((resolve, reject) => {
      request(`${directory.url}/health`, { agent }, (response) => response.resume().on('end', resolve))
        .on('error', reject)
        .end()
    })
    await directory.close()
    agent.destroy()
  })

  it('does not wait for what never ends', async () => {
    const { outward, isAsked, fail } = heldOutward()
    const directory = await start({ outward })
    const answer = testOf(directory.url).catch(() => 'cut')
    await isAsked
    await directory.close()
    expect(await answer).toBe('cut')
    fail()
  }, 60_000)

  it('can be started anew at its place', async () => {
    const first = await start()
    const port = Number(new URL(first.url).port)
    await first.close()
    const second = await start({ port })
    expect((await fetch(`${second.url}/health`)).status).toBe(200)
    await second.close()
  })
})

describe('a directory that can’t start', () => {
  it('says so where its port is taken', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    await expect(start({ port })).rejects.toThrow('EADDRINUSE')
    await new Promise((resolve) => other.close(resolve))
  })

  it('gives its port back where its settings or its database are of no use', async () => {
    const taken = await start()
    const port = Number(new URL(taken.url).port)
    await taken.close()
    await expect(start({ port, origin: 'https://market.example/' })).rejects.toThrow('origin')
    await expect(start({ port, probeEveryMs: Number.NaN })).rejects.toThrow('probeEveryMs')
    const tokenHash = 'not a hash'
    await expect(start({ port, operators: { addresses: [], tokenHash } })).rejects.toThrow('SHA-256')
    const broken = { ...database, all: () => Promise.reject(new Error('the disk is gone')) }
    await expect(start({ port, database: broken })).rejects.toThrow('the disk is gone')
    const again = await start({ port })
    await again.close()
  })
})
