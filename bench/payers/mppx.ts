import { Challenge, Credential } from 'mppx'
import { type Address, type Hex, hashTypedData, hexToBytes } from 'viem'
import { path } from '../servers/Server.ts'
import { type Payer, request } from './Payer.ts'
import { risingAmounts } from './risingAmounts.ts'
import { createSigner, keyOf } from './sign.ts'

/** No voucher is settled here, so any chain, token and escrow will do. */
export const chainId = 42_431
export const currency: Address = '0x20c0000000000000000000000000000000000001'
export const recipient: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
export const escrow: Address = '0x9d136eEa063eDE5418A6BC7bEafF009bBb6CFa70'

/** The channel of payer number `index`. */
export function channelOf(index: number) {
  return { channelId: keyOf(1_000 + index), payer: createSigner(keyOf(index)).address }
}

/** A voucher as mppx's voucher code signs and checks it. */
export function typedData({ channelId, cumulativeAmount }: { channelId: Hex; cumulativeAmount: bigint }) {
  return {
    domain: { name: 'Tempo Stream Channel', version: '1', chainId, verifyingContract: escrow },
    types: {
      Voucher: [
        { name: 'channelId', type: 'bytes32' },
        { name: 'cumulativeAmount', type: 'uint128' },
      ],
    },
    primaryType: 'Voucher',
    message: { channelId, cumulativeAmount },
  } as const
}

/** Pays the custom session: the server's own challenge, and a voucher as mppx's voucher code checks it. */
export async function createMppxPayer(port: number): Promise<Payer> {
  const challenge = Challenge.fromResponse(await fetch(`http://127.0.0.1:${port}${path}`))
  const next = risingAmounts()
  return {
    requests(index, count, key = keyOf(index)) {
      const { channelId, payer } = channelOf(index)
      const signer = createSigner(key)
      return Array.from({ length: count }, () => {
        const cumulativeAmount = next(index)
        const digest = hashTypedData(typedData({ channelId, cumulativeAmount }))
        const signature = signer.sign(hexToBytes(digest))
        const payload = { channelId, cumulativeAmount: cumulativeAmount.toString(), signature }
        const source = `did:pkh:eip155:${chainId}:${payer}`
        return request(path, `Authorization: ${Credential.serialize({ challenge, payload, source })}`)
      })
    },
  }
}
