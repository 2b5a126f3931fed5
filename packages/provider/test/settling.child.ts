/**
 * A provider that settles once and is killed before one of its steps: `node settling.child.ts <paywall as JSON> <step>`. Its ledger is
 * at `path`, or at `postgres`; `work` names what it does, by default one round. A step is whatever leaves something behind: a write to
 * the ledger, the journal or the ends of channels, a transaction that is sent. Prints how many there were.
 */
import { registerHooks } from 'node:module'
import type { Ledger, LedgerOpener } from '@drain/provider'
import { privateKeyToAccount } from 'viem/accounts'

const source = (path: string) => new URL(`../../${path}`, import.meta.url).href
const sources: Record<string, string> = {
  '@drain/core': source('core/src/index.ts'),
  '@drain/keys': source('keys/src/index.ts'),
}
registerHooks({ resolve: (specifier, context, next) => next(sources[specifier] ?? specifier, context) })
const { createPaywall } = await import('../src/http/Paywall.ts')
const { postgresLedger } = await import('../src/ledger/postgres.ts')
const { sqliteLedger } = await import('../src/ledger/sqlite.ts')

const [input = '', last = ''] = process.argv.slice(2)
const { privateKey, path, postgres, work = 'round', finality = 0, ...config } = JSON.parse(input)
let steps = 0
/** Milliseconds that its clock is ahead. */
let ahead = 0

function step(): void {
  if (++steps === Number(last)) process.kill(process.pid, 'SIGKILL')
}

const writes = ['beginClaim', 'endClaim', 'recordClaimed', 'markClosed', 'freeze', 'finalize'] as const

const counted: LedgerOpener = (identity) => {
  const trusted = { restored: 'trust', log: () => {} } as const
  const open = postgres ? postgresLedger(postgres, trusted) : sqliteLedger(path, trusted)
  const ledger = open(identity)
  const own: Partial<Ledger> = {
    notebook: {
      ...ledger.notebook,
      read: (...args) => ledger.notebook.read(...args),
      write(key, decide) {
        // Who leads is nothing that a crash could leave half done; how far the chain was read has tests of its own.
        if (key.startsWith('tx/') || key.startsWith('closing')) step()
        return ledger.notebook.write(key, decide)
      },
    },
  }
  for (const name of writes) {
    const write = ledger[name] as (...args: unknown[]) => Promise<never>
    own[name] = (...args: unknown[]) => {
      step()
      return write(...args)
    }
  }
  return { ...ledger, ...own }
}

const ask = globalThis.fetch
globalThis.fetch = async (url, init) => {
  if (!String(init?.body).includes('eth_sendRawTransaction')) return ask(url, init)
  step()
  const answer = await ask(url, init)
  // The node has it, and nobody here knows.
  step()
  if (work === 'raise') ahead = 31_000 // it has waited for long
  return answer
}

const paywall = createPaywall({
  ...config,
  account: privateKeyToAccount(privateKey),
  finality: BigInt(finality),
  ledger: counted,
  clock: () => Date.now() + ahead,
  log: () => {},
})
const { ledger, settlement, settler } = paywall

/** Until nothing is under way. Somebody else mines blocks. */
async function settled(): Promise<void> {
  while ((await settler.transactions.unsettled()).length > 0) await settler.run()
}

const works: Record<string, () => Promise<void>> = {
  round: () => settler.run(),
  /** A claim that waits for blocks and for more gas. */
  async raise() {
    await settlement.claimAll(1n)
    await settled()
  },
  /** A consumer asks for the close of its channel. */
  async close() {
    for await (const state of ledger.channels()) {
      const closing = await paywall.closeChannel({ ...state, id: state.channelId })
      if ('rejection' in closing) throw new Error(closing.rejection.code)
    }
    await settled()
  },
}

await works[work]?.()
await paywall.close()
console.log(steps)
