import { approveUsdc, openChannel } from '@drain/consumer'
import type { LocalChain } from '@drain/consumer/testing'
import { Domain, Duration, Usdc, Voucher, Headers as Wire } from '@drain/core'
import { bytesToHex, type HDAccount, type Hex } from 'viem'
import type { Place } from '../servers/drain.ts'
import { path } from '../servers/Server.ts'
import { type Payer, request } from './Payer.ts'
import { risingAmounts } from './risingAmounts.ts'
import { createSigner } from './sign.ts'

/** Enough for some millions of requests. */
const deposit = Usdc.parse('500')

/** Where a server finds the chain, and the provider it is. */
export function placeOf(chain: LocalChain): Place {
  const { chainId, rpcUrl, deployment } = chain
  const { contract, token } = deployment
  return { chainId, rpcUrl, contract, token, providerKey: privateKeyOf(chain.accounts[1]) }
}

/**
 * Opens channels on chain and pays with vouchers of the consumer's key, nonces rising by one. `headerOf`: how a voucher is sent.
 */
export async function createDrainPayer(
  chain: LocalChain,
  channels: number,
  headerOf = (voucher: Voucher.Voucher) => `${Wire.names.voucher[0]}: ${Voucher.toHeader(voucher)}`,
): Promise<Payer> {
  const { deployment } = chain
  const [consumer, { address: provider }] = chain.accounts
  const wallet = chain.walletClient(consumer)
  await approveUsdc(wallet, { deployment, amount: deposit * BigInt(channels) })
  const ids: Hex[] = []
  while (ids.length < channels) {
    const duration = Duration.parse('24h')
    ids.push((await openChannel(wallet, { deployment, provider, amount: deposit, duration })).channelId)
  }
  const domainSeparator = Domain.separator(deployment)
  const ownKey = privateKeyOf(consumer)
  const nonces = new Map<number, bigint>()
  const next = risingAmounts()
  return {
    requests(index, count, key = ownKey) {
      const channelId = ids[index]
      if (!channelId) throw new RangeError(`There are ${channels} channels, no number ${index}.`)
      const signer = createSigner(key)
      return Array.from({ length: count }, () => {
        const nonce = (nonces.get(index) ?? 0n) + 1n
        nonces.set(index, nonce)
        const unsigned = { channelId, amount: next(index), nonce }
        const signature = signer.sign(Voucher.digest(unsigned, domainSeparator))
        return request(path, headerOf({ ...unsigned, signature }))
      })
    },
  }
}

export function privateKeyOf(account: HDAccount): Hex {
  const { privateKey } = account.getHdKey()
  if (!privateKey) throw new Error('An account of the local chain has no key.')
  return bytesToHex(privateKey)
}
