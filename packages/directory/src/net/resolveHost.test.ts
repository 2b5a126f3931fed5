import { createSocket } from 'node:dgram'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createResolveHost } from './resolveHost.ts'

type Records = { a?: readonly number[][]; aaaa?: readonly number[][]; code?: number }
const ipv6 = (last: number) => [0x26, 0x06, 0x47, 0, ...Array.from({ length: 11 }, () => 0), last]
const mapped = [...Array.from({ length: 10 }, () => 0), 255, 255, 10, 0, 0, 1]
/** What the name server says. Without an entry it says nothing at all. */
const zone: Record<string, Records> = {
  'both.test': {
    a: [
      [1, 2, 3, 4],
      [10, 0, 0, 1],
    ],
    aaaa: [ipv6(1)],
  },
  'old.test': { a: [[1, 2, 3, 4]] },
  'new.test': { aaaa: [ipv6(7), mapped] },
  'none.test': { code: 3 },
  'empty.test': {},
  'broken.test': { code: 2 },
}

const server = createSocket('udp4')
server.on('message', (query, { port, address }) => {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const end = at + 5
  const records = zone[labels.join('.').toLowerCase()]
  if (!records) return
  const type = query.readUInt16BE(at + 1)
  const found = (type === 1 ? records.a : records.aaaa) ?? []
  const head = Buffer.alloc(12)
  head.writeUInt16BE(query.readUInt16BE(0), 0)
  head.writeUInt16BE(0x8180 | (records.code ?? 0), 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(found.length, 6)
  const answers = found.map((bytes) =>
    Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, bytes.length, ...bytes]),
  )
  server.send(Buffer.concat([head, query.subarray(12, end), ...answers]), port, address)
})

let resolve: ReturnType<typeof createResolveHost>
beforeAll(async () => {
  await new Promise<void>((done) => server.bind(0, '127.0.0.1', done))
  resolve = createResolveHost([`127.0.0.1:${server.address().port}`])
})
afterAll(() => new Promise<void>((done) => server.close(() => done())))

const patience = 30_000

test('all addresses of a name, of both kinds', async () => {
  expect(await resolve('both.test', patience)).toEqual(['1.2.3.4', '10.0.0.1', '2606:4700::1'])
  expect(await resolve('old.test', patience)).toEqual(['1.2.3.4'])
  expect(await resolve('new.test', patience)).toEqual(['2606:4700::7', '::ffff:10.0.0.1'])
})

test('none, where there are none', async () => {
  expect(await resolve('none.test', patience)).toEqual([])
  expect(await resolve('empty.test', patience)).toEqual([])
})

test('this machine, without asking anybody', async () => {
  expect(await createResolveHost(['127.0.0.1:1'])('localhost', patience)).toEqual(['127.0.0.1', '::1'])
})

test('an error, where name servers fail or are silent', async () => {
  await expect(resolve('broken.test', patience)).rejects.toThrow()
  await expect(resolve('silent.test', 100)).rejects.toThrow()
})
