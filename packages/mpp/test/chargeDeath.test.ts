/** A provider that dies at any step of a charge: the payer pays once for an answer, or nothing for none. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { LedgerOpener } from '@drain/provider'
import { postgresLedger } from '@drain/provider/postgres'
import { sqliteLedger } from '@drain/provider/sqlite'
import { bytesToHex, keccak256, stringToBytes } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { incomes } from '../../provider/src/settle/ChargeBook.ts'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { type Postgres, postgresBin, startPostgres } from '../../provider/test/startPostgres.ts'
import { type SignedAuthorization, toPayload } from '../src/authorization.ts'
import { authorize, chargesOf, uses } from './charging.ts'

let fixture: Fixture
let server: Postgres
const price = 20_000n

beforeAll(async () => {
  fixture = await startFixture()
  if (postgresBin) server = await startPostgres()
})
afterAll(async () => {
  await fixture?.close()
  await server?.close()
})

/** Where a charge is written down: what the killed process is told, and how to open it again. */
type Place = { input: Record<string, unknown>; open: LedgerOpener }
const trusted = { restored: 'trust', log: () => {} } as const

function onSqlite(step: number): Place {
  const path = join(fixture.folder, `death-${step}.db`)
  return { input: { path }, open: sqliteLedger(path, trusted) }
}

function onPostgres(step: number): Place {
  const { connection } = server
  const schema = `death_${step}`
  return {
    input: { postgres: { connection, schema } },
    open: postgresLedger(connection, { schema, ...trusted }),
  }
}

const script = new URL('charging.child.ts', import.meta.url).pathname

/** How many steps there were; `undefined` when it was killed. */
function run(
  place: Place,
  authorization: SignedAuthorization,
  keyId: string,
  step: number,
): number | undefined {
  const { chain, provider } = fixture
  const key = 'getHdKey' in provider ? (provider.getHdKey as () => { privateKey: Uint8Array })() : undefined
  if (!key) throw new Error('no key')
  const input = {
    ...{
      ...place.input,
      keyId,
      payload: toPayload(authorization),
      chainId: chain.chainId,
      rpcUrl: chain.rpcUrl,
    },
    contractAddress: chain.deployment.contract,
    usdcAddress: chain.deployment.token,
    privateKey: bytesToHex(key.privateKey),
  }
  const child = spawnSync(process.execPath, [script, JSON.stringify(input), String(step)], {
    encoding: 'utf8',
  })
  if (child.signal === 'SIGKILL') return undefined
  if (child.status !== 0) throw new Error(child.stderr)
  return Number(child.stdout)
}

const places: [string, (step: number) => Place][] = [
  ['SQLite', onSqlite],
  ...(postgresBin ? [['PostgreSQL', onPostgres] as [string, typeof onPostgres]] : []),
]

test.each(places)(
  'on %s: killed before any of its steps, a charge is taken once or not at all, and its answer is there for whoever paid',
  async (_, placeOf) => {
    const found: string[] = []
    for (let step = 1; ; step += 1) {
      const place = placeOf(step)
      const authorization = await authorize(fixture, price)
      const keyId = keccak256(stringToBytes(`key ${step}`))
      const key = { id: keyId, fingerprint: keyId }
      const before = await fixture.balance(fixture.provider.address)
      const steps = run(place, authorization, keyId, step)
      const paywall = fixture.paywall({ ledger: place.open })
      const charges = chargesOf(paywall)
      const again = await charges.begin(authorization, { quote: price, key })
      const earned = (await fixture.balance(fixture.provider.address)) - before
      if (again.ok) {
        // Nothing was written down yet.
        expect(earned).toBe(0n)
        await again.funds.capture(price, {})
        expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
        found.push('unknown')
      } else if ('rejection' in again) {
        // Its lease still runs: nothing was sent.
        const { code } = again.rejection
        expect(['idempotency_in_flight', 'invalid_nonce', 'unavailable']).toContain(code)
        expect([earned, await uses(fixture, authorization)]).toEqual([0n, 0])
        found.push(code === 'unavailable' ? 'done' : 'taken')
      } else {
        expect(new TextDecoder().decode(again.outcome)).toBe('the answer')
        expect([earned, await uses(fixture, authorization)]).toEqual([price, 1])
        found.push('answered')
      }
      expect(await uses(fixture, authorization)).toBeLessThanOrEqual(1)
      const other = await charges.begin(authorization, { quote: price })
      expect(other.ok).toBe(false)
      // The books have what was taken, whoever of the two has sent it.
      await paywall.settler.run()
      let booked = 0
      for await (const _ of incomes(paywall.ledger.notebook)) booked += 1
      expect(booked).toBe(await uses(fixture, authorization))
      await paywall.close()
      if (steps !== undefined) break
    }
    // Each of the four was seen, in this order.
    expect([...new Set(found)]).toEqual(['unknown', 'taken', 'done', 'answered'])
    expect(found.length).toBeGreaterThan(7)
  },
  300_000,
)

test.skipIf(!postgresBin)(
  'a PostgreSQL server that dies while the work is done keeps the answer back, and nothing is taken; afterwards it goes on',
  async () => {
    const ledger = postgresLedger(server.connection, { schema: 'gone', ...trusted })
    const paywall = fixture.paywall({ ledger })
    await paywall.ready()
    const charges = chargesOf(paywall)
    const before = await fixture.balance(fixture.provider.address)
    const [first, second] = [await authorize(fixture, price), await authorize(fixture, price)]
    const begun = await charges.begin(first, { quote: price })
    if (!begun.ok) throw new Error('refused')
    await server.stop('immediate')
    await expect(begun.funds.capture(price, {})).rejects.toThrow()
    expect(await fixture.balance(fixture.provider.address)).toBe(before)
    await server.start()
    // Its lease still runs, and nobody knows what became of its work.
    expect(await charges.begin(first, { quote: price })).toMatchObject({
      rejection: { code: 'invalid_nonce' },
    })
    const again = await charges.begin(second, { quote: price })
    if (!again.ok) throw new Error('refused')
    await again.funds.capture(price, {})
    expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
    await paywall.close()
  },
)
