import { decodePaymentRequiredHeader, encodePaymentSignatureHeader } from '@x402/core/http'
import {
  BATCH_SETTLEMENT_ADDRESS,
  BATCH_SETTLEMENT_DOMAIN,
  type ChannelConfig,
  voucherTypes,
} from '@x402/evm'
import { computeChannelId } from '@x402/evm/batch-settlement/client'
import { type Address, hashTypedData, hexToBytes } from 'viem'
import { path } from '../servers/Server.ts'
import { type Payer, request } from './Payer.ts'
import { risingAmounts } from './risingAmounts.ts'
import { createSigner, keyOf } from './sign.ts'

/** No voucher is settled here, so any chain will do; the token is the one that x402 knows on it. */
export const chainId = 84_532
export const network = `eip155:${chainId}` as const
export const token: Address = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'
export const receiver: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
export const withdrawDelay = 86_400

/** The key that authorizes claims for the receiver. */
export const receiverAuthorizerKey = keyOf(3_000)

/** The channel of payer number `index`. */
export function channelOf(index: number) {
  const { address } = createSigner(keyOf(index))
  const channelConfig: ChannelConfig = {
    payer: address,
    payerAuthorizer: address,
    receiver,
    receiverAuthorizer: createSigner(receiverAuthorizerKey).address,
    token,
    withdrawDelay,
    salt: keyOf(1_000 + index),
  }
  return { channelConfig, channelId: computeChannelId(channelConfig, network) }
}

/** Pays the batch-settlement scheme: what the server's 402 asks for, and a voucher. */
export async function createX402Payer(port: number): Promise<Payer> {
  const refused = await fetch(`http://127.0.0.1:${port}${path}`)
  const { accepts, resource } = decodePaymentRequiredHeader(refused.headers.get('PAYMENT-REQUIRED') ?? '')
  const [accepted] = accepts
  if (!accepted) throw new Error('The x402 server offers nothing.')
  const next = risingAmounts()
  return {
    requests(index, count, key = keyOf(index)) {
      const { channelConfig, channelId } = channelOf(index)
      const signer = createSigner(key)
      return Array.from({ length: count }, () => {
        const amount = next(index)
        const digest = hashTypedData({
          domain: { ...BATCH_SETTLEMENT_DOMAIN, chainId, verifyingContract: BATCH_SETTLEMENT_ADDRESS },
          types: voucherTypes,
          primaryType: 'Voucher',
          message: { channelId, maxClaimableAmount: amount },
        })
        const signature = signer.sign(hexToBytes(digest))
        const voucher = { channelId, maxClaimableAmount: amount.toString(), signature }
        const payload = { type: 'voucher', channelConfig, voucher }
        const header = encodePaymentSignatureHeader({ x402Version: 2, resource, accepted, payload })
        return request(path, `PAYMENT-SIGNATURE: ${header}`)
      })
    },
  }
}
