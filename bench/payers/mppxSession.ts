import { Challenge, Credential } from 'mppx'
import { Session } from 'mppx/tempo'
import { type Address, hashTypedData, hexToBytes, zeroAddress } from 'viem'
import { path } from '../servers/Server.ts'
import { chainId, currency, recipient } from './mppx.ts'
import { type Payer, request } from './Payer.ts'
import { risingAmounts } from './risingAmounts.ts'
import { createSigner, keyOf } from './sign.ts'

const { Channel, Protocol, Voucher } = Session.Precompile

/** Tempo's own. */
export const escrow: Address = Protocol.tip20ChannelEscrow

/** The channel of payer number `index`. */
export function channelOf(index: number) {
  const descriptor = {
    payer: createSigner(keyOf(index)).address,
    payee: recipient,
    operator: zeroAddress,
    token: currency,
    salt: keyOf(1_000 + index),
    authorizedSigner: zeroAddress,
    expiringNonceHash: keyOf(2_000 + index),
  }
  return { descriptor, channelId: Channel.computeId({ ...descriptor, chainId, escrow }) }
}

/** Pays `tempo.session`: the server's own challenge, the channel's description, and a voucher. */
export async function createMppxSessionPayer(port: number): Promise<Payer> {
  const challenge = Challenge.fromResponse(await fetch(`http://127.0.0.1:${port}${path}`))
  const next = risingAmounts()
  return {
    requests(index, count, key = keyOf(index)) {
      const { channelId, descriptor } = channelOf(index)
      const signer = createSigner(key)
      return Array.from({ length: count }, () => {
        const cumulativeAmount = next(index)
        const digest = hashTypedData({
          domain: Voucher.getVoucherDomain(escrow, chainId),
          types: Voucher.voucherTypes,
          primaryType: 'Voucher',
          message: { channelId, cumulativeAmount },
        })
        const signature = signer.sign(hexToBytes(digest))
        const amount = cumulativeAmount.toString()
        const payload = { action: 'voucher', channelId, descriptor, cumulativeAmount: amount, signature }
        const source = `did:pkh:eip155:${chainId}:${descriptor.payer}`
        return request(path, `Authorization: ${Credential.serialize({ challenge, payload, source })}`)
      })
    },
  }
}
