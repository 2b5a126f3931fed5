/**
 * A thousand paid requests, end to end, on a private chain: token, contract, provider in its own process, one channel,
 * one settlement. Prints a table; with `--json` its last line is one JSON object.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLocalChain } from '@drain/consumer/testing'
import { createDrainClient, Usdc } from '@drain-protocol/sdk'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { readLedgerOfChain } from './chainBooks.ts'
import { askPaid, askUnpaid } from './chat.ts'
import { percentile } from './percentile.ts'
import { createProgress } from './progress.ts'
import { startProvider } from './startProcess.ts'
import { printTable } from './table.ts'

const requests = 1_000
/** Every tenth request streams. */
const streamEvery = 10
const deposit = '2'

const startedAt = performance.now()
const json = process.argv.includes('--json')
const progress = createProgress(json ? process.stderr : process.stdout)
const folder = mkdtempSync(join(tmpdir(), 'drain-demo-'))

progress.say('Starting a private chain with Circle’s USDC and DrainChannel …')
await using chain = await startLocalChain()
const consumer = privateKeyToAccount(generatePrivateKey())
const providerKey = generatePrivateKey()
const provider = privateKeyToAccount(providerKey)
await chain.fund(consumer.address, '10')
// A provider in business holds some USDC; writing a first balance costs more gas than changing one.
await chain.fund(provider.address, '1')
for (const { address } of [consumer, provider]) {
  await chain.testClient.setBalance({ address, value: 10n ** 18n })
}

progress.say('Starting the provider, a process of its own with SQLite …')
await using server = await startProvider({ chain, privateKey: providerKey, folder })

const { deployment, rpcUrl, chainId } = chain
const client = createDrainClient({
  account: consumer,
  chainId,
  rpcUrl,
  contractAddress: deployment.contract,
  usdcAddress: deployment.token,
  limits: { perRequest: '0.01', perChannel: deposit },
})

const latencies = { paid: [] as number[], unpaid: [] as number[] }
let charged = 0n
let streamed = 0
for (let index = 0; index < requests; index += 1) {
  const stream = index % streamEvery === streamEvery - 1
  const question = { seed: index, stream }
  // The same request paid and unpaid, in turns, so that both meet the same machine. The first opens the channel.
  const paid = await askPaid(client.fetch, server.url, question)
  const unpaid = await askUnpaid(server.url, question)
  if (paid.text !== unpaid.text) throw new Error(`Request ${index} was answered differently when paid.`)
  charged += paid.cost
  if (stream) streamed += 1
  if (index > 0) {
    latencies.paid.push(paid.milliseconds)
    latencies.unpaid.push(unpaid.milliseconds)
  }
  progress.update(index + 1, requests, `${Usdc.display(charged)} charged`)
}

progress.say('Asking the provider to settle …')
await client.closeAll()
const books = await readLedgerOfChain(chain, [consumer.address, provider.address])
rmSync(folder, { recursive: true, force: true })

const added = (share: number) => percentile(latencies.paid, share) - percentile(latencies.unpaid, share)
const result = {
  requests,
  streamed,
  transactions: books.transactions,
  gasUsed: Number(books.gasUsed),
  deposited: books.deposited.toString(),
  charged: charged.toString(),
  claimed: books.claimed.toString(),
  refunded: books.refunded.toString(),
  addedLatencyMsP50: round(added(0.5)),
  addedLatencyMsP99: round(added(0.99)),
  durationMs: Math.round(performance.now() - startedAt),
}

if (!json) {
  const perPayment = books.gasOfTransfer
  printTable([
    ['Paid requests', `${requests} (${streamed} streamed)`],
    ['Transactions', `${books.transactions} (${books.names.join(', ')})`],
    ['Gas', `${books.gasUsed.toLocaleString('en')} in all, ${books.gasUsed / BigInt(requests)} a request`],
    [
      'As on-chain payments',
      `${requests} transactions, ${(perPayment * BigInt(requests)).toLocaleString('en')} gas (${ratio(perPayment * BigInt(requests), books.gasUsed)} × as much)`,
    ],
    ['Deposited', Usdc.display(books.deposited)],
    ['Charged', Usdc.display(charged)],
    ['Claimed by the provider', Usdc.display(books.claimed)],
    ['Refunded to the consumer', Usdc.display(books.refunded)],
    [
      'Latency of a request',
      `median ${ms(percentile(latencies.unpaid, 0.5))} unpaid, ${ms(percentile(latencies.paid, 0.5))} paid`,
    ],
    ['Added by payment', `median ${ms(added(0.5))}, p99 ${ms(added(0.99))}`],
    ['Took', `${(result.durationMs / 1_000).toFixed(1)} s`],
  ])
}
if (books.claimed !== charged)
  throw new Error(`Claimed ${Usdc.display(books.claimed)}, charged ${Usdc.display(charged)}.`)
if (books.refunded !== books.deposited - charged)
  throw new Error('The refund is not the rest of the deposit.')
if (json) console.log(JSON.stringify(result))

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`
}

function ratio(a: bigint, b: bigint): string {
  return Math.round(Number(a) / Number(b)).toLocaleString('en')
}
