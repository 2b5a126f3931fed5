/** Tempo's USDC, which today's MPP services are paid in. */
import type { PaymentScheme } from '@drain/consumer'
import { mppxScheme } from '@drain/mpp/client'
import { tempo } from 'mppx/client'
import type { Account } from 'viem'

/** USDC on Tempo's main chain, as mppx knows it. */
const usdc = { chainId: 4217, address: '0x20c000000000000000000000b9537d11c60e8b50' } as const

export function createTempo(account: Account): PaymentScheme {
  return mppxScheme(tempo.charge({ account }), { asset: usdc })
}
