/**
 * mppx's session as it ships (`tempo.session`), with its in-memory store and its `node:http` listener. The store starts with
 * the channels open, and their state on chain counts as fresh for good, so that it never waits for a node.
 */
import { Mppx, Store, tempo } from 'mppx/server'
import { createClient, custom, defineChain } from 'viem'
import { chainId, currency, recipient } from '../payers/mppx.ts'
import { channelOf, escrow } from '../payers/mppxSession.ts'
import { listen } from './listen.ts'
import { answer, price, type Server } from './Server.ts'

const chain = defineChain({
  id: chainId,
  name: 'never asked',
  nativeCurrency: { name: 'none', symbol: 'NONE', decimals: 18 },
  rpcUrls: { default: { http: [] } },
})

export async function start({ channels = 16 } = {}): Promise<Server> {
  const store = Store.memory()
  const ids = Array.from({ length: channels }, (_, index) => channelOf(index))
  for (const { channelId, descriptor } of ids) {
    await store.put(channelId, {
      ...descriptor,
      authorizedSigner: descriptor.payer,
      backend: 'precompile',
      chainId,
      channelId,
      descriptor,
      escrowContract: escrow,
      closeRequestedAt: 0n,
      deposit: 10n ** 15n,
      settledOnChain: 0n,
      highestVoucherAmount: 0n,
      highestVoucher: null,
      spent: 0n,
      units: 0,
      finalized: false,
      createdAt: new Date().toISOString(),
    })
  }
  const client = createClient({
    chain,
    transport: custom({ request: () => Promise.reject(new Error('The chain is not to be asked.')) }),
  })
  const method = tempo.session({
    currency,
    recipient,
    chainId,
    escrowContract: escrow,
    store,
    channelStateTtl: Number.MAX_SAFE_INTEGER,
    getClient: () => client,
  })
  const mppx = Mppx.create({
    methods: [method],
    secretKey: 'a key of the benchmark, at least 32 bytes',
    realm: 'bench',
  })
  const expires = new Date(Date.now() + 86_400_000).toISOString()
  const pay = Mppx.toNodeListener(mppx.session({ amount: '0.0001', unitType: 'request', expires }))
  const body = JSON.stringify(answer)
  const server = await listen(async (req, res) => {
    const { status } = await pay(req, res)
    if (status === 402) return
    res.setHeader('Content-Type', 'application/json')
    res.end(body)
  })
  return {
    ...server,
    async paid() {
      const all = await Promise.all(
        ids.map(({ channelId }) => store.get(channelId) as Promise<{ spent: bigint }>),
      )
      return Number(all.reduce((sum, { spent }) => sum + spent, 0n) / price)
    },
  }
}
