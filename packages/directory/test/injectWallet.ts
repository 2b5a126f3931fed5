import type { BrowserContext } from 'playwright-core'
import type { Hex, PrivateKeyAccount, TransactionSerializable, TypedDataDefinition } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'

type Answer = { result: unknown } | { code: number; message: string }

/** A browser's wallet (EIP-1193, announced by EIP-6963) whose user is the test. It remembers what it had to ask. */
export type TestWallet = {
  address: Hex
  /** The methods that a user would have seen a window for, in order. */
  prompts: string[]
  /** Whether the user says no. */
  declines: boolean
  /** The accounts and the chain that it is on. */
  chainId: number
}

/** Puts a wallet into every page of a browser. What it isn't asked for itself it passes on to its node, as wallets do. */
export async function injectWallet(
  browser: BrowserContext,
  chain: { chainId: number; rpcUrl: string },
  account:
    | PrivateKeyAccount
    | {
        address: Hex
        signTypedData: PrivateKeyAccount['signTypedData']
        signTransaction: PrivateKeyAccount['signTransaction']
      } = privateKeyToAccount(generatePrivateKey()),
): Promise<TestWallet> {
  const wallet: TestWallet = {
    address: account.address,
    prompts: [],
    declines: false,
    chainId: chain.chainId,
  }
  let isConnected = false

  async function node(method: string, params: unknown[]): Promise<Answer> {
    const response = await fetch(chain.rpcUrl, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    })
    const { result, error } = await response.json()
    return error ? { code: error.code, message: error.message } : { result }
  }

  const asked = new Set([
    ...['eth_requestAccounts', 'eth_signTypedData_v4', 'eth_sendTransaction', 'personal_sign'],
    'wallet_switchEthereumChain',
  ])

  async function answer(method: string, params: unknown[] = []): Promise<Answer> {
    if (method === 'eth_chainId') return { result: `0x${wallet.chainId.toString(16)}` }
    if (method === 'eth_accounts') return { result: isConnected ? [account.address] : [] }
    if (!asked.has(method)) return node(method, params)
    wallet.prompts.push(method)
    if (wallet.declines) return { code: 4001, message: 'User rejected the request.' }
    if (method === 'eth_requestAccounts') {
      isConnected = true
      return { result: [account.address] }
    }
    if (method === 'wallet_switchEthereumChain') {
      wallet.chainId = Number((params[0] as { chainId: Hex }).chainId)
      return { result: null }
    }
    if (method === 'eth_signTypedData_v4') {
      const typedData = JSON.parse(String(params[1])) as TypedDataDefinition
      // Wallets refuse what is for another chain than theirs.
      if (Number(typedData.domain?.chainId) !== wallet.chainId)
        return { code: -32_603, message: 'The chain is another one.' }
      return { result: await account.signTypedData(typedData) }
    }
    if (method === 'eth_sendTransaction') return send(params[0] as Record<string, Hex>)
    return { code: -32_601, message: `This wallet does no ${method}.` }
  }

  /** Fills in what a page leaves to the wallet. */
  async function send({ to, data, value, gas }: Record<string, Hex>): Promise<Answer> {
    const read = async (method: string, ...params: unknown[]) => {
      const answered = await node(method, params)
      if ('result' in answered) return answered.result as Hex
      throw new Error(answered.message)
    }
    const price = BigInt(await read('eth_gasPrice'))
    const transaction: TransactionSerializable = {
      type: 'eip1559',
      chainId: wallet.chainId,
      nonce: Number(await read('eth_getTransactionCount', account.address, 'pending')),
      gas: BigInt(gas ?? (await read('eth_estimateGas', { from: account.address, to, data }))),
      maxFeePerGas: 2n * price,
      maxPriorityFeePerGas: 1n,
      value: BigInt(value ?? 0),
      ...(to && { to }),
      ...(data && { data }),
    }
    return node('eth_sendRawTransaction', [await account.signTransaction(transaction)])
  }

  await browser.exposeFunction('askTestWallet', (method: string, params?: unknown[]) =>
    answer(method, params).catch((error) => ({ code: -32_603, message: String(error) })),
  )
  await browser.addInitScript(() => {
    const { askTestWallet } = globalThis as unknown as { askTestWallet: typeof answer }
    const provider = {
      async request({ method, params }: { method: string; params?: unknown[] }) {
        const answered = await askTestWallet(method, params)
        if ('result' in answered) return answered.result
        throw Object.assign(new Error(answered.message), { code: answered.code })
      },
      on() {},
      removeListener() {},
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
