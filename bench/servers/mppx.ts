/**
 * mppx at its fastest: a session method of one's own (`Method.toServer` with a single `verify`), with mppx's voucher check
 * that does the least (one recovery of a public key), its in-memory store, and its `node:http` listener. `verify: 'viem'`: as one
 * writes it without that, with viem's `verifyTypedData`.
 */
import { Errors, Method, Receipt, z } from 'mppx'
import { Mppx, Store } from 'mppx/server'
import { SessionLegacy } from 'mppx/tempo'
import type { Address, Hex } from 'viem'
import { verifyTypedData } from 'viem/utils'
import { chainId, channelOf, currency, escrow, recipient, typedData } from '../payers/mppx.ts'
import { listen } from './listen.ts'
import { answer, price, type Server } from './Server.ts'

const { verifyVoucher } = SessionLegacy.Session.Voucher

type Channel = { payer: Address; deposit: string; highest: string; spent: string; signature?: Hex }

export const session = Method.from({
  name: 'escrow',
  intent: 'session',
  schema: {
    credential: {
      payload: z.object({ channelId: z.hash(), cumulativeAmount: z.amount(), signature: z.signature() }),
    },
    request: z.object({ amount: z.amount(), currency: z.string(), recipient: z.string() }),
  },
})

type Options = { channels?: number; verify?: 'mppx' | 'viem' }

export async function start({ channels = 16, verify = 'mppx' }: Options = {}): Promise<Server> {
  const store = Store.memory()
  const ids = Array.from({ length: channels }, (_, index) => channelOf(index))
  for (const { channelId, payer } of ids) {
    await store.put(channelId, { payer, deposit: `${10n ** 15n}`, highest: '0', spent: '0' })
  }

  const method = Method.toServer(session, {
    async verify({ credential, request }) {
      const { channelId, cumulativeAmount, signature } = credential.payload as Record<string, Hex>
      const amount = BigInt(cumulativeAmount as string)
      const known = (await store.get(channelId as Hex)) as Channel | null
      if (!known) throw new Errors.ChannelNotFoundError({ reason: 'unknown channel' })
      if (amount > BigInt(known.deposit))
        throw new Errors.AmountExceedsDepositError({ reason: 'over deposit' })
      const voucher = { channelId: channelId as Hex, cumulativeAmount: amount, signature: signature as Hex }
      const isSigned =
        verify === 'viem'
          ? verifyTypedData({ ...typedData(voucher), address: known.payer, signature: voucher.signature })
          : verifyVoucher(escrow, chainId, voucher, known.payer)
      if (!(await isSigned)) {
        throw new Errors.InvalidSignatureError({ reason: 'invalid voucher signature' })
      }
      const isPaid = await store.update(channelId as Hex, (current) => {
        const channel = current as Channel
        const highest = amount > BigInt(channel.highest) ? amount : BigInt(channel.highest)
        const spent = BigInt(channel.spent) + BigInt(request.amount)
        if (amount <= BigInt(channel.highest) || spent > highest) return { op: 'noop', result: false }
        const value = { ...channel, highest: `${highest}`, spent: `${spent}`, signature }
        return { op: 'set', value, result: true }
      })
      if (!isPaid) throw new Errors.InsufficientBalanceError({ reason: 'the voucher adds too little' })
      const timestamp = new Date().toISOString()
      return Receipt.from({ method: 'escrow', status: 'success', reference: channelId as Hex, timestamp })
    },
  })

  const mppx = Mppx.create({
    methods: [method],
    secretKey: 'a key of the benchmark, at least 32 bytes',
    realm: 'bench',
  })
  const expires = new Date(Date.now() + 86_400_000).toISOString()
  const pay = Mppx.toNodeListener(mppx.session({ amount: price.toString(), currency, recipient, expires }))
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
      const all = await Promise.all(ids.map(({ channelId }) => store.get(channelId) as Promise<Channel>))
      return Number(all.reduce((sum, { spent }) => sum + BigInt(spent), 0n) / price)
    },
  }
}
