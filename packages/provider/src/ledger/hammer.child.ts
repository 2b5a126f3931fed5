/**
 * A provider process for `sqlite.test.ts`: `node hammer.child.ts <job> <path> <index> <of>`. Begins when it is told to,
 * and prints a line for each request that the ledger let it serve.
 */
import { once } from 'node:events'
import { registerHooks } from 'node:module'

// Like the tests it runs the sources, without a build.
const core = new URL('../../../core/src/index.ts', import.meta.url).href
registerHooks({
  resolve: (specifier, context, next) => next(specifier === '@drain/core' ? core : specifier, context),
})
const { aVoucher, hammered, identity } = await import('./fixtures.ts')
const { sqliteLedger } = await import('./sqlite.ts')

const [job = '', path = '', index = '0', of = '1'] = process.argv.slice(2)
const ledger = sqliteLedger(path)(identity)

/** Sixteen requests at a time, of one unit each, until the channel's deposit is used up. */
async function spend(): Promise<void> {
  const channel = hammered(0)
  let next = BigInt(index)
  const serve = async (): Promise<void> => {
    const nonce = next
    next += BigInt(of)
    const reserved = await ledger.reserve({ channel, voucher: aVoucher(channel.deposit, nonce), quote: 1n })
    if (reserved.ok) {
      await ledger.capture(reserved.reservationId, 1n)
      console.log(nonce)
    } else if (reserved.code === 'insufficient_funds') return
    // The others may be so far ahead that these nonces are out of the window.
    const lead = (reserved.state.nonce ?? 0n) - next
    if (lead > 0n) next += (lead / BigInt(of) + 1n) * BigInt(of)
    return serve()
  }
  await Promise.all(Array.from({ length: 16 }, serve))
}

/** Four requests at a time on each of four channels, none of which ever ends, until somebody kills it. */
async function load(): Promise<void> {
  const lanes = [1, 2, 3, 4].map(async (lane) => {
    const channel = hammered(lane)
    let next = ((await ledger.get(channel.channelId))?.nonce ?? -1n) + 1n
    const serve = async (): Promise<void> => {
      const nonce = next++
      const voucher = aVoucher(nonce + 1n, nonce)
      const reserved = await ledger.reserve({ channel, voucher, quote: 1n, leaseMs: 3_600_000 })
      if (!reserved.ok) throw new Error(reserved.code)
      console.log(`${lane} ${nonce}`)
      return serve()
    }
    await Promise.all([serve(), serve(), serve(), serve()])
  })
  await Promise.all(lanes)
}

process.send?.('ready')
await once(process, 'message')
await (job === 'spend' ? spend() : load())
await ledger.close()
process.disconnect()
