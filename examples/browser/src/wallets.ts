/** The wallets of this browser: EIP-6963, and `window.ethereum` where none announces itself. */
import { custom, type EIP1193Provider, toHex } from 'viem'

export type Wallet = { name: string; provider: EIP1193Provider }

declare global {
  interface Window {
    ethereum?: EIP1193Provider
  }
  interface WindowEventMap {
    'eip6963:announceProvider': CustomEvent<{
      info: { uuid: string; name: string }
      provider: EIP1193Provider
    }>
  }
}

/** Hands each wallet over once, also those that come late. */
export function watchWallets(found: (wallet: Wallet) => void): void {
  const known = new Set<string>()
  addEventListener('eip6963:announceProvider', ({ detail: { info, provider } }) => {
    if (known.has(info.uuid)) return
    known.add(info.uuid)
    found({ name: info.name, provider })
  })
  dispatchEvent(new Event('eip6963:requestProvider'))
  if (known.size === 0 && window.ethereum) found({ name: 'Browser wallet', provider: window.ethereum })
}

/** The account that this page may use already: asks nobody. */
export async function connectedAccount({ provider }: Wallet) {
  const [account] = await provider.request({ method: 'eth_accounts' })
  return account
}

/** Asks for an account, and for the chain where the wallet is on another. */
export async function connect({ provider }: Wallet, chainId: number) {
  const [account] = await provider.request({ method: 'eth_requestAccounts' })
  const wanted = toHex(chainId)
  if ((await provider.request({ method: 'eth_chainId' })) !== wanted) {
    await provider.request({ method: 'wallet_switchEthereumChain', params: [{ chainId: wanted }] })
  }
  if (!account) throw new Error('The wallet has no account for this page.')
  return account
}

export const transportOf = ({ provider }: Wallet) => custom(provider)

/** Whether somebody said no in the wallet (EIP-1193). */
export function isDeclined(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && cause.code === 4001) return true
  }
  return false
}
