import { Usdc } from '@drain/core'
import { formatEther, getAddress } from 'viem'
import { getBalance } from 'viem/actions'
import { getAllowance } from '../actions/getAllowance.ts'
import { getUsdcBalance } from '../actions/getUsdcBalance.ts'
import { createWallet } from '../client/Wallet.ts'
import type { Settings } from './settings.ts'

/** What a wallet has: USDC and the chain's own coin as decimal strings. */
export type WalletReport = {
  address: string
  chainId: number
  contract: string
  usdc: string
  /** Of the chain's own coin, which pays for transactions. */
  gas: string
  /** USDC that the contract may take for deposits. */
  allowance: string
}

/** `drain wallet` */
export async function readWallet({ account, deployment, rpcUrl }: Settings): Promise<WalletReport> {
  const wallet = createWallet({ account, deployment, rpcUrl, chain: undefined, walletClient: undefined })
  const { address } = wallet.account
  const whose = { deployment, account: address }
  const [usdc, allowance, gas] = await Promise.all([
    getUsdcBalance(wallet.publicClient, whose),
    getAllowance(wallet.publicClient, whose),
    getBalance(wallet.publicClient, { address }),
  ])
  return {
    address,
    chainId: deployment.chainId,
    contract: getAddress(deployment.contract),
    usdc: Usdc.format(usdc),
    gas: formatEther(gas),
    allowance: Usdc.format(allowance),
  }
}

/** As lines, with what is missing to pay with it. */
export function walletText(report: WalletReport): string {
  const { address, chainId, contract, usdc, gas, allowance } = report
  const lines = [
    ['address', address],
    ['chain', `${chainId}`],
    ['contract', contract],
    ['usdc', usdc],
    ['gas', gas],
    ['allowance', `${allowance} USDC`],
  ].map(([name = '', value]) => `${name.padEnd(9)}  ${value}`)
  if (usdc === '0') lines.push('', 'There is no USDC in it: send some to its address.')
  if (gas === '0')
    lines.push(
      '',
      'It has nothing to pay for transactions with: only providers that open channels for it can be paid.',
    )
  return `${lines.join('\n')}\n`
}
