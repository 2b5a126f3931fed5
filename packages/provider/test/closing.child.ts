/**
 * A server that is asked to close one channel: `node closing.child.ts <paywall as JSON> <body>`. With `privateKey` it has the key, else
 * `account` is the provider's address; the ledger is at `path`, or at `postgres`. Prints the answer, as JSON.
 */
import { privateKeyToAccount } from 'viem/accounts'
import { createPaywall } from '../src/http/Paywall.ts'
import { postgresLedger } from '../src/ledger/postgres.ts'
import { sqliteLedger } from '../src/ledger/sqlite.ts'

const [input = '', body = ''] = process.argv.slice(2)
const { privateKey, path, postgres, account, ...config } = JSON.parse(input)

const paywall = createPaywall({
  ...config,
  account: privateKey ? privateKeyToAccount(privateKey) : account,
  ledger: path ? sqliteLedger(path, { log: () => {} }) : postgresLedger(postgres, { log: () => {} }),
  settle: false,
  log: () => {},
})
await paywall.ready()
const request = new Request('http://p.test/v1/close-channel', { method: 'POST', body })
const response = (await paywall.endpoints(request)) as Response
const retryAfter = response.headers.get('Retry-After')
console.log(JSON.stringify({ status: response.status, retryAfter, body: await response.json() }))
await paywall.close()
