/**
 * A provider process for `conformance/processes.ts`: `node hammer.child.ts <job> <store> <index> <of>`. Begins when it is
 * told to, and prints a line for each request that the ledger let it serve. `store`: JSON of `LastingStore.inChild`.
 */
import { once } from 'node:events'
import { registerHooks } from 'node:module'
import type { Ledger, LedgerOpener } from './Ledger.ts'

// Like the tests it runs the sources, without a build.
const core = new URL('../../../core/src/index.ts', import.meta.url).href
registerHooks({
  resolve: (specifier, context, next) => next(specifier === '@drain/core' ? core : specifier, context),
})
const { aVoucher, hammered, identity } = await import('./fixtures.ts')

const [job = '', store = '', index = '0', of = '1'] = process.argv.slice(2)
const { module, name, args } = JSON.parse(store)
const open: (...args: unknown[]) => LedgerOpener = (await import(module))[name]
const ledger: Ledger = open(...args)(identity)

const jobs: Record<string, () => Promise<void>> = {
  /** Sixteen requests at a time, of one unit each, until the channel's deposit is used up. */
  async spend() {
    const channel = hammered(0)
    let next = BigInt(index)
    const serve = async (): Promise<void> => {
      const nonce = next
      next += BigInt(of)
      const reserved = await ledger.reserve({ channel, voucher: aVoucher(channel.deposit, nonce), quote: 1n })
      if (reserved.ok) {
        await ledger.capture(reserved.reservationId, 1n)
        console.log(String(nonce))
      } else if (reserved.code === 'insufficient_funds') return
      // The others may be so far ahead that these nonces are out of the window.
      const lead = (reserved.state.nonce ?? 0n) - next
      if (lead > 0n) next += (lead / BigInt(of) + 1n) * BigInt(of)
      return serve()
    }
    await Promise.all(Array.from({ length: 16 }, serve))
  },

  /** 340 requests at once, of one unit each. */
  async rush() {
    const channel = hammered(5)
    const nonces = Array.from({ length: 340 }, (_, count) => BigInt(count) * BigInt(of) + BigInt(index))
    await Promise.all(
      nonces.map(async (nonce) => {
        const voucher = aVoucher(channel.deposit, nonce)
        const reserved = await ledger.reserve({ channel, voucher, quote: 1n, leaseMs: 3_600_000 })
        if (reserved.ok) console.log(String(nonce))
        else if (reserved.code !== 'insufficient_funds') throw new Error(reserved.code)
      }),
    )
  },

  /** Four requests at a time on each of four channels, none of which ever ends, until somebody kills it. */
  async load() {
    const lanes = [1, 2, 3, 4].map(async (lane) => {
      const channel = hammered(lane)
      let next = ((await ledger.get(channel.channelId))?.nonce ?? -1n) + 1n
      const serve = async (): Promise<void> => {
        const nonce = next++
        const voucher = aVoucher(nonce + 1n, nonce)
        const reserved = await ledger.reserve({ channel, voucher, quote: 1n, leaseMs: 3_600_000 })
        if (!reserved.ok) throw new Error(reserved.code)
        const { reservationId } = reserved
        // Room for others: a channel has a thousand reservations at most.
        if (nonce >= 400n) await ledger.capture(`${channel.channelId}:${nonce - 400n}`, 1n)
        await ledger.capture(reservationId, 1n, { final: false })
        console.log(`${lane} ${nonce}`)
        return serve()
      }
      await Promise.all([serve(), serve(), serve(), serve()])
    })
    await Promise.all(lanes)
  },

  /** Eighty increments of one note, eight at a time. */
  async count() {
    const increments = Array.from({ length: 8 }, async () => {
      for (let times = 0; times < 10; times++) {
        const before = await ledger.notebook.write('count', (text = '0') => {
          return { result: text, write: String(Number(text) + 1) }
        })
        console.log(before)
      }
    })
    await Promise.all(increments)
  },

  /** Writes sixty notes if they aren't there, as others do, and prints those that it wrote. */
  async take() {
    for (let nonce = 0; nonce < 60; nonce += 6) {
      const takes = Array.from({ length: 6 }, async (_, more) => {
        const key = `tx/${String(nonce + more).padStart(20, '0')}`
        const isMine = await ledger.notebook.write(key, (text) => {
          return { result: text === undefined, write: text ?? index }
        })
        if (isMine) console.log(`${key} ${index}`)
      })
      await Promise.all(takes)
    }
  },

  /** Writes one note after another in each of four lanes, until somebody kills it. */
  async note() {
    const lanes = [1, 2, 3, 4].map(async (lane) => {
      for (let count = 0; ; count++) {
        const key = `${lane}/${count}`
        await ledger.notebook.write(key, () => ({ result: undefined, write: `text of ${key}` }))
        console.log(key)
      }
    })
    await Promise.all(lanes)
  },

  /** One request for half of the channel, which ends when it is told to. */
  async linger() {
    const channel = hammered(6)
    const voucher = aVoucher(channel.deposit, BigInt(index))
    const request = { channel, voucher, quote: channel.deposit / 2n, leaseMs: 600_000 }
    const reserved = await ledger.reserve(request)
    if (!reserved.ok) throw new Error(reserved.code)
    console.log('reserved')
    await once(process, 'message')
    const captured = await ledger.capture(reserved.reservationId, request.quote)
    console.log(captured.ok ? String(captured.captured) : captured.code)
  },
}

process.send?.('ready')
await once(process, 'message')
await jobs[job]?.()
await ledger.close()
process.disconnect()
