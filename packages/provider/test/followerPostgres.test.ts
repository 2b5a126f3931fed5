/** Following the contract on PostgreSQL, by several processes, from round to round. */
import { CloseAuthorization } from '@drain/core'
import type { Ledger } from '@drain/provider'
import { postgresLedger } from '@drain/provider/postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  all,
  allAlarms,
  claim,
  expire,
  factsOf,
  fixture,
  follow,
  ledger,
  mine,
  openAgain,
  reorganise,
  send,
  serve,
  startFollowing,
  storedCursor,
} from './following.ts'
import { type Postgres, postgresBin, startPostgres } from './startPostgres.ts'

let server: Postgres

beforeAll(async () => {
  if (postgresBin) server = await startPostgres()
})

/** A ledger in a schema of its own. */
function open(schema: string): Ledger {
  const { chainId, deployment } = fixture.chain
  const name = schema.replace('-', '_')
  const identity = { chainId, contract: deployment.contract, provider: fixture.provider.address }
  return postgresLedger(server.connection, { schema: name, log: () => {} })(identity)
}

if (postgresBin) startFollowing(open)
afterAll(() => server?.close())

test.skipIf(!postgresBin)(
  'opens, claims, closes and reorganisations are booked once, whoever of two follows',
  async () => {
    const other = openAgain()
    await ledger.ready()
    const [one, two] = [follow({ depth: 4n }), follow({ depth: 4n, on: other })]
    const poll = () => Promise.all([one.poll(), two.poll()])
    await poll()
    const [unknown, owing, cooperative] = [
      await fixture.open(),
      await fixture.open({ duration: 1_000n }),
      await fixture.open(),
    ]
    for (const channel of [unknown, owing, cooperative]) await serve(channel, 400_000n)
    await mine(4)
    await poll()

    await claim(unknown, 300_000n, { ours: false })
    await ledger.freeze(await factsOf(cooperative.id))
    await ledger.finalize(cooperative.id)
    const authorization = { channelId: cooperative.id, finalAmount: 400_000n }
    const signature = await fixture.provider.signTypedData(
      CloseAuthorization.typedData(authorization, fixture.chain.deployment),
    )
    await send(fixture.consumer, 'cooperativeClose', [cooperative.id, 400_000n, signature])
    await expire(owing)
    await send(fixture.consumer, 'close', [owing.id])
    await poll()
    expect(await ledger.get(owing.id)).toMatchObject({ status: 'closing' })
    expect(await ledger.get(unknown.id)).toMatchObject({ status: 'open', claimed: 0n })

    await mine(4)
    for (let round = 0; round < 3; round += 1) {
      await poll()
      await mine(16)
    }
    await poll()
    expect(await ledger.get(unknown.id)).toMatchObject({ status: 'closing', claimed: 300_000n, alarm: false })
    expect(await ledger.get(owing.id)).toMatchObject({ status: 'closed', claimed: 0n })
    expect(await ledger.get(cooperative.id)).toMatchObject({ status: 'closed', claimed: 400_000n })
    expect(await all(ledger.claims())).toMatchObject([
      { channelId: cooperative.id, amount: 400_000n, fee: 0n },
    ])

    const late = await fixture.open()
    await serve(late, 100_000n)
    await poll()
    await reorganise(2)
    await poll()
    expect(await ledger.get(late.id)).toMatchObject({ status: 'closing' })
    await mine(5)
    await poll()
    const told = (await allAlarms()).map(({ channelId, code }) => `${code} ${channelId}`)
    expect(told.sort()).toEqual(
      [`channel_vanished ${late.id}`, `closed_owing ${owing.id}`, `unknown_claim ${unknown.id}`].sort(),
    )
    const { seen } = await storedCursor()
    expect(seen.number).toBe((await fixture.chain.publicClient.getBlock()).number)
    await other.close()
  },
)
