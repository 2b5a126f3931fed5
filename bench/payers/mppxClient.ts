import { approveUsdc, openChannel } from '@drain/consumer'
import type { LocalChain } from '@drain/consumer/testing'
import { Duration, Usdc, Voucher } from '@drain/core'
import { drainSession } from '@drain/mpp'
import { Credential, Method } from 'mppx'
import { Mppx } from 'mppx/client'
import { privateKeyToAccount } from 'viem/accounts'
import { session } from '../servers/mppx.ts'
import { price } from '../servers/Server.ts'
import { privateKeyOf } from './drain.ts'
import { channelOf, typedData } from './mppx.ts'
import { keyOf } from './sign.ts'

const deposit = Usdc.parse('500')

/** mppx's own `fetch` with a method of one's own, as its documentation shows: a challenge, a voucher signed by viem, a credential. */
export async function createMppxFetch(chain: LocalChain): Promise<typeof globalThis.fetch> {
  const { deployment, accounts } = chain
  const [consumer, { address: provider }] = accounts
  const wallet = chain.walletClient(consumer)
  await approveUsdc(wallet, { deployment, amount: deposit })
  const duration = Duration.parse('24h')
  const { channelId } = await openChannel(wallet, { deployment, provider, amount: deposit, duration })
  const account = privateKeyToAccount(privateKeyOf(consumer))
  let nonce = 0n
  const method = Method.toClient(drainSession, {
    async createCredential({ challenge }) {
      nonce += 1n
      const unsigned = { channelId, amount: price * nonce, nonce }
      const signature = await account.signTypedData(Voucher.typedData(unsigned, deployment))
      const cumulativeAmount = unsigned.amount.toString()
      const payload = { action: 'voucher', channelId, cumulativeAmount, nonce: nonce.toString(), signature }
      return Credential.serialize({ challenge, payload })
    },
  })
  return fetchOf(method)
}

/** The same at a server of mppx's own (`servers/mppx.ts`), from channel number `index`. */
export function createMppxOwnFetch(index: number): typeof globalThis.fetch {
  const account = privateKeyToAccount(keyOf(index))
  const { channelId } = channelOf(index)
  let cumulativeAmount = 0n
  const method = Method.toClient(session, {
    async createCredential({ challenge }) {
      cumulativeAmount += price
      const signature = await account.signTypedData(typedData({ channelId, cumulativeAmount }))
      const payload = { channelId, cumulativeAmount: cumulativeAmount.toString(), signature }
      return Credential.serialize({ challenge, payload })
    },
  })
  return fetchOf(method)
}

function fetchOf(method: Method.AnyClient): typeof globalThis.fetch {
  const mppx = Mppx.create({ methods: [method], polyfill: false })
  return (input, init) => mppx.fetch(input, init)
}
