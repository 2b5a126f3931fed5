/** The comparison is only honest if every server that is compared really checks what it is paid with. */
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drive } from '../load/drive.ts'
import { createDrainPayer, placeOf } from '../payers/drain.ts'
import { createMppDrainPayer } from '../payers/mppDrain.ts'
import { createMppxPayer } from '../payers/mppx.ts'
import { createMppxSessionPayer } from '../payers/mppxSession.ts'
import { type Payer, request } from '../payers/Payer.ts'
import { keyOf } from '../payers/sign.ts'
import { createX402Payer } from '../payers/x402.ts'
import { adapters, start as startDrain } from '../servers/drain.ts'
import { start as startMppx } from '../servers/mppx.ts'
import { start as startMppxSession } from '../servers/mppxSession.ts'
import { path, type Server } from '../servers/Server.ts'
import { start as startX402 } from '../servers/x402.ts'

let chain: LocalChain
beforeAll(async () => {
  chain = await startLocalChain({ usdc: '1000000' })
})
afterAll(() => chain.close())

type Contender = { name: string; open(): Promise<{ server: Server; payer: Payer }> }

const with_ =
  (start: () => Promise<Server>, payerOf: (port: number) => Promise<Payer>): Contender['open'] =>
  async () => {
    const server = await start()
    return { server, payer: await payerOf(server.port) }
  }

const contenders: Contender[] = [
  ...adapters.map((adapter) => ({
    name: `ours, ${adapter}`,
    open: with_(
      () => startDrain({ adapter, place: placeOf(chain) }),
      () => createDrainPayer(chain, 2),
    ),
  })),
  {
    name: 'ours, by MPP',
    open: with_(
      () => startDrain({ adapter: 'express', place: placeOf(chain), mpp: true }),
      (port) => createMppDrainPayer(chain, port, 2),
    ),
  },
  { name: 'mppx, custom session', open: with_(startMppx, createMppxPayer) },
  {
    name: 'mppx, custom session with viem',
    open: with_(() => startMppx({ verify: 'viem' }), createMppxPayer),
  },
  { name: 'mppx, tempo.session', open: with_(startMppxSession, createMppxSessionPayer) },
  { name: 'x402, batch settlement', open: with_(startX402, createX402Payer) },
]

describe.each(contenders)('$name', ({ open }) => {
  let server: Server
  let payer: Payer
  beforeAll(async () => {
    ;({ server, payer } = await open())
  })
  afterAll(() => server.close())

  const statuses = async (...requests: Buffer[]) =>
    Object.fromEntries((await drive(server.port, [requests])).statuses)

  it('serves each voucher, and its books say so', async () => {
    const before = await server.paid()
    expect(await statuses(...payer.requests(0, 3))).toEqual({ 200: 3 })
    expect(await server.paid()).toBe(before + 3)
  })

  it('refuses a request without a voucher', async () => {
    const before = await server.paid()
    expect(await statuses(request(path))).toEqual({ 402: 1 })
    expect(await server.paid()).toBe(before)
  })

  it('refuses a voucher that a stranger signed', async () => {
    const before = await server.paid()
    expect(await statuses(...payer.requests(1, 1, keyOf(9_000)))).toEqual({ 402: 1 })
    expect(await server.paid()).toBe(before)
  })

  it('serves a voucher once', async () => {
    const [voucher] = payer.requests(0, 1) as [Buffer]
    const before = await server.paid()
    expect(await statuses(voucher, voucher)).toEqual({ 200: 1, 402: 1 })
    expect(await server.paid()).toBe(before + 1)
  })
})
