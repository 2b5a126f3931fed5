import type { ChannelRequest, Voucher } from '@drain/core'
import { localAccount } from '@drain/keys'
import { type Account, type Address, bytesToHex, hexToBytes, type LocalAccount } from 'viem'
import { generatePrivateKey } from 'viem/accounts'
import { signChannelRequest } from '../actions/signChannelRequest.ts'
import { signVoucher } from '../actions/signVoucher.ts'
import type { ClientStore } from '../store/ClientStore.ts'
import type { Slip } from './ChannelBook.ts'
import type { ChannelRecord } from './records.ts'
import type { Wallet } from './Wallet.ts'

/** Signs for channels: with their session key where they have one, else with the wallet. */
export type ChannelSigner = ReturnType<typeof createChannelSigner>

export function createChannelSigner({ wallet, store }: { wallet: Wallet; store: ClientStore }) {
  const sessions = new Map<string, Promise<LocalAccount>>()

  function unseal(sealed: string): Promise<LocalAccount> {
    let session = sessions.get(sealed)
    if (!session) {
      session = store.unseal(sealed).then((secret) => localAccount(bytesToHex(secret)))
      sessions.set(sealed, session)
      session.catch(() => sessions.delete(sealed))
    }
    return session
  }

  async function sessionOf({ session }: ChannelRecord) {
    return session && { account: await unseal(session.sealed), proof: session.proof }
  }

  return {
    /** A new key, sealed for the store. */
    async createKey(): Promise<{ address: Address; sealed: string }> {
      const key = generatePrivateKey()
      const account: Account = localAccount(key)
      return { address: account.address, sealed: await store.seal(hexToBytes(key)) }
    },
    async signVoucher(
      record: ChannelRecord,
      { channelId, amount, nonce }: Slip,
      { withProof }: { withProof: boolean },
    ): Promise<Voucher.Voucher> {
      const session = await sessionOf(record)
      return signVoucher(wallet.client, {
        ...wallet.parameters,
        channelId,
        amount,
        nonce,
        session,
        withProof,
      })
    },
    /** Proves to the provider that the channel's consumer asks. */
    async signRequest(
      record: ChannelRecord,
      action: ChannelRequest.Action,
      deadline: bigint,
    ): Promise<ChannelRequest.ChannelRequest> {
      const { channelId } = record
      const session = await sessionOf(record)
      const parameters = { ...wallet.parameters, channelId, action, deadline }
      return signChannelRequest(wallet.client, { ...parameters, session, withProof: session !== undefined })
    },
  }
}
