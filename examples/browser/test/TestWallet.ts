import type { BrowserContext } from 'playwright-core'
import type { Hex, TypedDataDefinition } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'

/** What a wallet answers: a result, or an error of EIP-1193. */
type Answer = { result: unknown } | { code: number; message: string }

/** A browser's wallet (EIP-1193, announced by EIP-6963) whose user is the test. It remembers what it had to ask. */
export type TestWallet = {
  address: Hex
  /** The methods that a user would have seen a window for, in order. */
  prompts: string[]
  /** Whether the user says no. */
  declines: boolean
}

/** Puts a wallet with an account of its own into every page of a browser. It reads no chain: pages read it by themselves. */
export async function injectWallet(browser: BrowserContext, chainId: number): Promise<TestWallet> {
  const account = privateKeyToAccount(generatePrivateKey())
  const wallet: TestWallet = { address: account.address, prompts: [], declines: false }
  let isConnected = false

  async function answer(method: string, params: unknown[] = []): Promise<Answer> {
    if (method === 'eth_chainId') return { result: `0x${chainId.toString(16)}` }
    if (method === 'eth_accounts') return { result: isConnected ? [account.address] : [] }
    // Whatever else there is, wallets ask for it.
    wallet.prompts.push(method)
    if (wallet.declines) return { code: 4001, message: 'User rejected the request.' }
    if (method === 'eth_requestAccounts') {
      isConnected = true
      return { result: [account.address] }
    }
    if (method === 'eth_signTypedData_v4') {
      return { result: await account.signTypedData(JSON.parse(String(params[1])) as TypedDataDefinition) }
    }
    return { code: -32_601, message: `This wallet does no ${method}.` }
  }

  await browser.exposeFunction('askTestWallet', answer)
  await browser.addInitScript(() => {
    const { askTestWallet } = globalThis as unknown as { askTestWallet: typeof answer }
    const provider = {
      async request({ method, params }: { method: string; params?: unknown[] }) {
        const answered = await askTestWallet(method, params)
        if ('result' in answered) return answered.result
        throw Object.assign(new Error(answered.message), { code: answered.code })
      },
    }
    const info = { uuid: 'c0ffee00-0000-4000-8000-000000000000', name: 'Test Wallet', rdns: 'test', icon: '' }
    const announce = () =>
      dispatchEvent(
        new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }),
      )
    addEventListener('eip6963:requestProvider', announce)
    announce()
  })
  return wallet
}
