/**
 * A provider that takes one charge and is killed before one of its steps: `node charging.child.ts <paywall and payload as JSON>
 * <step>`. A step is whatever leaves something behind: a write to the records or the journal, a transaction that is sent. Prints how
 * many there were.
 */
import { registerHooks } from 'node:module'
import type { LedgerOpener } from '@drain/provider'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'

const source = (path: string) => new URL(`../../${path}`, import.meta.url).href
const sources: Record<string, string> = {
  '@drain/core': source('core/src/index.ts'),
  '@drain/keys': source('keys/src/index.ts'),
  '@drain/keys/node': source('keys/src/node/index.ts'),
  '@drain/provider': source('provider/src/index.ts'),
}
registerHooks({ resolve: (specifier, context, next) => next(sources[specifier] ?? specifier, context) })
const { createPaywall } = await import('../../provider/src/http/Paywall.ts')
const { postgresLedger } = await import('../../provider/src/ledger/postgres.ts')
const { sqliteLedger } = await import('../../provider/src/ledger/sqlite.ts')
const { fromPayload } = await import('../src/authorization.ts')
const { chargesOf } = await import('./charging.ts')

const [input = '', last = ''] = process.argv.slice(2)
const { privateKey, path, postgres, payload, keyId, ...config } = JSON.parse(input)
let steps = 0

function step(): void {
  if (++steps === Number(last)) process.kill(process.pid, 'SIGKILL')
}

const counted: LedgerOpener = (identity) => {
  const options = { restored: 'trust', log: () => {} } as const
  const open = postgres
    ? postgresLedger(postgres.connection, { schema: postgres.schema, ...options })
    : sqliteLedger(path, options)
  const ledger = open(identity)
  const { notebook } = ledger
  return {
    ...ledger,
    notebook: {
      read: (...args) => notebook.read(...args),
      write(key, decide) {
        step()
        return notebook.write(key, decide)
      },
    },
  }
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
  settle: false,
  log: () => {},
})
const authorization = fromPayload(payload)
const quote = authorization.value
const begun = await chargesOf(paywall).begin(authorization, {
  quote,
  key: { id: keyId as Hex, fingerprint: keyId as Hex },
})
if (!begun.ok) throw new Error('refused')
await begun.funds.capture(quote, { outcome: new TextEncoder().encode('the answer') })
await paywall.close()
console.log(steps)
