import { createServer } from 'node:http'
import { Usdc } from '@drain/core'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databases } from '../../test/databases.ts'
import type { Database } from '../store/Database.ts'
import { startChannels, type TestChannels } from './channels.fixture.ts'
import { createChainClients } from './clients.ts'
import { type FollowOptions, followPayments } from './followPayments.ts'

let channels: TestChannels
beforeAll(async () => {
  channels = await startChannels()
})
afterAll(() => channels?.close())

const log = pino({ level: 'silent' })

function follow(database: Database, options: Partial<FollowOptions> = {}) {
  const chain = channels.client
  return followPayments({ ...{ chain, database, log, confirmations: 0, from: 0n }, ...options })
}

async function paymentOf(database: Database, channelId: string) {
  const row = await database.one<Record<string, string>>(
    'SELECT consumer, provider, deposit, paid FROM payments WHERE channel_id = $1',
    channelId,
  )
  return (
    row && {
      ...row,
      deposit: Usdc.format(BigInt(row.deposit ?? 0)),
      paid: Usdc.format(BigInt(row.paid ?? 0)),
    }
  )
}

const cursorName = () => `payments:31337:${channels.client.deployment.contract.toLowerCase()}`

describe.each(databases)('payments on $name', ({ use, isThere }) => {
  describe.skipIf(!isThere)('', () => {
    const open = use()

    test('are what claims and closes paid out, however the channel ends', async () => {
      const parties = {
        consumer: channels.consumer.address.toLowerCase(),
        provider: channels.provider.address.toLowerCase(),
        deposit: '1',
      }
      const database = await open()
      const follower = follow(database)
      const claimed = await channels.open()
      const closed = await channels.open()
      const agreed = await channels.open()
      const untouched = await channels.open()
      await channels.claim(claimed, '0.2')
      expect(await follower.round()).toBe(true)
      expect(await paymentOf(database, claimed)).toEqual({ ...parties, paid: '0.2' })
      expect(await paymentOf(database, untouched)).toEqual({ ...parties, paid: '0' })
      await channels.claim(claimed, '0.7')
      await channels.claim(closed, '0.1')
      await channels.claimAndClose(closed, '0.3')
      await channels.cooperativeClose(agreed, '0.4')
      await follower.round()
      await follower.round()
      expect(await paymentOf(database, claimed)).toEqual({ ...parties, paid: '0.7' })
      expect(await paymentOf(database, closed)).toEqual({ ...parties, paid: '0.3' })
      expect(await paymentOf(database, agreed)).toEqual({ ...parties, paid: '0.4' })
      await database.close()
    })

    test('of several instances are booked once', async () => {
      const database = await open()
      const channelId = await channels.open()
      await channels.claim(channelId, '0.5')
      const followers = Array.from({ length: 4 }, () => follow(database))
      await Promise.all(followers.map((follower) => follower.round()))
      expect(await paymentOf(database, channelId)).toMatchObject({ paid: '0.5' })
      await database.close()
    })

    test('are booked with the cursor or not at all', async () => {
      const database = await open()
      const channelId = await channels.open()
      await channels.claim(channelId, '0.5')
      // Ends in the middle of the booking, after some of its writes.
      let writes = 0
      const dying: Database = {
        ...database,
        transaction: (work) =>
          database.transaction((sql) =>
            work({
              ...sql,
              run(text, ...values) {
                if (++writes >= 4) throw new Error('killed')
                return sql.run(text, ...values)
              },
            }),
          ),
      }
      await expect(follow(dying).round()).rejects.toThrow('killed')
      expect(await database.all('SELECT * FROM payments')).toEqual([])
      const before = await database.one<{ value: number }>(
        'SELECT value FROM numbers WHERE name = $1',
        cursorName(),
      )
      expect(before?.value).toBe(-1)
      await follow(database).round()
      expect(await paymentOf(database, channelId)).toMatchObject({ paid: '0.5' })
      await database.close()
    })

    test('wait until their block can’t go away', async () => {
      const database = await open()
      const follower = follow(database, { confirmations: 10 })
      await channels.mine(10)
      const channelId = await channels.open()
      await channels.claim(channelId, '0.5')
      await channels.mine(8)
      await follower.round()
      expect(await paymentOf(database, channelId)).toBe(undefined)
      await channels.mine(1)
      await follower.round()
      expect(await paymentOf(database, channelId)).toMatchObject({ paid: '0' })
      await channels.mine(1)
      await follower.round()
      expect(await paymentOf(database, channelId)).toMatchObject({ paid: '0.5' })
      await database.close()
    })

    test('of channels from before the first block that was read find their consumer', async () => {
      const database = await open()
      const [claimed, closed] = [await channels.open(), await channels.open()]
      await channels.mine(1)
      const from = (await channels.chain.publicClient.getBlockNumber()) + 1n
      await channels.claim(claimed, '0.2')
      await channels.claim(closed, '0.2')
      await channels.claimAndClose(closed, '0.6')
      await follow(database, { from }).round()
      const consumer = channels.consumer.address.toLowerCase()
      expect(await paymentOf(database, claimed)).toMatchObject({ consumer, paid: '0.2', deposit: '0' })
      expect(await paymentOf(database, closed)).toMatchObject({ consumer, paid: '0.6', deposit: '0' })
      await database.close()
    })
  })
})

test('a new directory starts near the newest block, not at the first', async () => {
  const [sqlite] = databases
  const database = await sqlite?.use()()
  if (!database) throw new Error('no database')
  const early = await channels.open()
  await channels.mine(10)
  const late = await channels.open()
  const follower = follow(database, { from: undefined, lookBack: 5n })
  expect(await follower.round()).toBe(true)
  expect(await paymentOf(database, early)).toBe(undefined)
  expect(await paymentOf(database, late)).toMatchObject({ paid: '0' })
  await database.close()
})

test('a node that fails, answers nonsense and refuses wide windows is asked again, until all is read', async () => {
  const [sqlite] = databases
  const database = await sqlite?.use()()
  if (!database) throw new Error('no database')
  const channelId = await channels.open()
  await channels.claim(channelId, '0.5')
  const head = await channels.chain.publicClient.getBlockNumber()
  let asked = 0
  let isDown = true
  /** Passes on to anvil what it is asked, in a bad mood. */
  const node = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const { id, method, params } = JSON.parse(text)
    asked += 1
    if (isDown) return response.writeHead(503).end()
    if (asked % 5 === 0) return response.end('<html>overloaded</html>')
    const [range] = params ?? []
    const width = method === 'eth_getLogs' ? Number(range.toBlock) - Number(range.fromBlock) : 0
    if (width > 8) {
      const error = { code: -32_000, message: 'the range is too wide' }
      return response
        .setHeader('Content-Type', 'application/json')
        .end(JSON.stringify({ jsonrpc: '2.0', id, error }))
    }
    const headers = { 'Content-Type': 'application/json' }
    const answer = await fetch(channels.chain.rpcUrl, { method: 'POST', body: text, headers })
    return response.setHeader('Content-Type', 'application/json').end(await answer.text())
  })
  await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve))
  const { port } = node.address() as { port: number }
  const [chain] = createChainClients([{ ...channels.settings, rpcUrl: `http://127.0.0.1:${port}` }])
  if (!chain) throw new Error('no client')
  const from = head > 60n ? head - 60n : 0n
  const follower = followPayments({ chain, database, log, confirmations: 0, from, everyMs: 5 })
  await expect(follower.round()).rejects.toThrow()
  follower.start()
  const before = asked
  await expect.poll(() => asked).toBeGreaterThan(before + 2)
  isDown = false
  await expect.poll(() => paymentOf(database, channelId)).toMatchObject({ paid: '0.5' })
  await follower.stop()
  const after = asked
  expect(await database.all('SELECT * FROM payments WHERE channel_id = $1', channelId)).toHaveLength(1)
  expect(asked).toBe(after)
  node.closeAllConnections()
  await new Promise((resolve) => node.close(resolve))
  await database.close()
})
