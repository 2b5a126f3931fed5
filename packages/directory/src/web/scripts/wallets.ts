/** The wallets of this browser: EIP-6963, and `window.ethereum` where none announces itself. */
import { type Address, createWalletClient, custom, type EIP1193Provider, toHex } from 'viem'
import { makeButton } from './page.ts'

export type Wallet = { name: string; provider: EIP1193Provider }

declare global {
  interface WindowEventMap {
    'eip6963:announceProvider': CustomEvent<{
      info: { uuid: string; name: string }
      provider: EIP1193Provider
    }>
  }
}

/** Hands each wallet over once, also those that come late. */
function watchWallets(found: (wallet: Wallet) => void): void {
  const known = new Set<string>()
  addEventListener('eip6963:announceProvider', ({ detail: { info, provider } }) => {
    if (known.has(info.uuid)) return
    known.add(info.uuid)
    found({ name: info.name, provider })
  })
  dispatchEvent(new Event('eip6963:requestProvider'))
  const { ethereum } = globalThis as { ethereum?: EIP1193Provider }
  if (known.size === 0 && ethereum) found({ name: 'Browser wallet', provider: ethereum })
}

/**
 * Puts a button for each wallet in place of what stands in `host` (which says that there is none).
 *
 * @param choose Called when one is clicked.
 * @param found Called when one shows up.
 */
export function offerWallets(
  host: HTMLElement,
  choose: (wallet: Wallet) => unknown,
  found?: (wallet: Wallet) => unknown,
): void {
  let isFirst = true
  watchWallets((wallet) => {
    const button = makeButton(`Connect ${wallet.name}`, () => choose(wallet))
    if (isFirst) host.replaceChildren(button)
    else host.append(' ', button)
    isFirst = false
    found?.(wallet)
  })
}

/** Calls `leave` when a wallet goes to another account or chain than the page was connected to. */
export function watchChanges(
  { provider }: Wallet,
  { account, chainId }: { account: Address; chainId: number },
  leave: () => unknown,
): void {
  provider.on?.('accountsChanged', (accounts) => {
    if (accounts[0]?.toLowerCase() !== account.toLowerCase()) leave()
  })
  provider.on?.('chainChanged', (changed) => {
    if (Number(changed) !== chainId) leave()
  })
}

/** The account that this page may use already: asks nobody. */
export async function connectedAccount({ provider }: Wallet): Promise<Address | undefined> {
  const [account] = await provider.request({ method: 'eth_accounts' })
  return account
}

/** Asks for an account, and for one of these chains where the wallet is on another. */
export async function connect(
  { provider }: Wallet,
  chainIds: readonly number[],
): Promise<{ account: Address; chainId: number }> {
  const [account] = await provider.request({ method: 'eth_requestAccounts' })
  if (!account)
    throw new Error('The wallet has no account for this page. Choose one in it, and connect again.')
  const current = Number(await provider.request({ method: 'eth_chainId' }))
  const [wanted] = chainIds
  if (wanted === undefined || chainIds.includes(current)) return { account, chainId: current }
  await provider
    .request({ method: 'wallet_switchEthereumChain', params: [{ chainId: toHex(wanted) }] })
    .catch((error) => {
      if (error?.code === 4001) throw error
      throw new Error(
        `Your wallet can’t switch to chain ${wanted}. Add that network to it, then connect again.`,
      )
    })
  return { account, chainId: wanted }
}

/** Everything goes through the wallet: no node of anybody else learns who looks at what. */
export function clientOf({ provider }: Wallet, { account, chainId }: { account: Address; chainId: number }) {
  const chain = {
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'coin', symbol: 'coin', decimals: 18 },
    rpcUrls: { default: { http: [] } },
  }
  return createWalletClient({ account, chain, transport: custom(provider), pollingInterval: 1_000 })
}
