/**
 * A provider that settles once and is killed before one of its steps: `node settling.child.ts <paywall as JSON> <step>`. A step is
 * whatever leaves something behind: a write to the ledger or the journal, a transaction that is sent. Prints how many there were.
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
const { sqliteLedger } = await import('../src/ledger/sqlite.ts')

const [input = '', last = ''] = process.argv.slice(2)
const { privateKey, path, ...config } = JSON.parse(input)
let steps = 0

function step(): void {
  if (++steps === Number(last)) process.kill(process.pid, 'SIGKILL')
}

const writes = ['beginClaim', 'endClaim', 'recordClaimed', 'markClosed', 'freeze', 'finalize'] as const

const counted: LedgerOpener = (identity) => {
  const ledger = sqliteLedger(path, { restored: 'trust', log: () => {} })(identity)
  const own: Partial<Ledger> = {
    notebook: {
      ...ledger.notebook,
      read: (...args) => ledger.notebook.read(...args),
      write(key, decide) {
        // Who leads is nothing that a crash could leave half done; how far the chain was read has tests of its own.
        if (key.startsWith('tx/')) step()
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
  return answer
}

const paywall = createPaywall({
  ...config,
  account: privateKeyToAccount(privateKey),
  ledger: counted,
  log: () => {},
})
await paywall.settler.run()
await paywall.close()
console.log(steps)
