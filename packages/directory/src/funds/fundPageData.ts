/** Invites as their page shows and uses them. */
import { Usdc } from '@drain/core'
import { type Address, formatEther, isAddress } from 'viem'
import { invalid } from '../problem.ts'
import type { PageData } from '../web/PageData.ts'
import type { Funds } from './createFunds.ts'

/** Whoever serves the page counts its requests. */
export function fundPageData(funds: Funds): Pick<PageData, 'invite' | 'join'> {
  return {
    invite: (code) => funds.inviteState(code),
    async join(code, address) {
      const wallet = address.trim()
      if (!isAddress(wallet, { strict: false }))
        throw invalid('That is no address.', 'Paste the address of your wallet: 0x and 40 hex digits.')
      const { grant, transactions } = await funds.join({ code, address: wallet as Address })
      const { state, gas, usdc, reason } = grant
      if (state === 'failed') return `The chain refused it (${reason}). Ask whoever invited you.`
      const sum = `${Usdc.format(usdc)} USDC and ${formatEther(gas)} for gas`
      const hashes = transactions.map(({ hash }) => hash).join(', ')
      const where = hashes
        ? `, in ${transactions.length === 1 ? 'transaction' : 'transactions'} ${hashes}`
        : ''
      return state === 'done' ? `${sum} are in the wallet${where}.` : `${sum} are on their way${where}.`
    },
  }
}
