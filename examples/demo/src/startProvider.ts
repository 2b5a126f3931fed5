import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { LocalChain } from '@drain/consumer/testing'
import type { Hex } from 'viem'

/** The reference provider as a process of its own. */
export async function startProvider(options: {
  chain: LocalChain
  privateKey: Hex
  folder: string
}): Promise<{ url: string } & AsyncDisposable> {
  const { chain, privateKey, folder } = options
  const entry = fileURLToPath(new URL('../../ai-provider/src/index.ts', import.meta.url))
  const child = spawn(process.execPath, [entry], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      PROVIDER_PRIVATE_KEY: privateKey,
      CHAIN_ID: String(chain.chainId),
      RPC_URL: chain.rpcUrl,
      CONTRACT_ADDRESS: chain.deployment.contract,
      USDC_ADDRESS: chain.deployment.token,
      HOST: '127.0.0.1',
      PORT: '0',
      DATABASE: join(folder, 'provider.db'),
      FREE_ROUTE: '1',
    },
  })
  const exited = once(child, 'exit')
  const stop = () => void child.kill('SIGKILL')
  process.once('exit', stop)
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /listening on (http:\S+)/.exec(line)?.[1]
    if (!url) continue
    child.stdout.resume()
    return {
      url,
      async [Symbol.asyncDispose]() {
        process.off('exit', stop)
        child.kill('SIGTERM')
        await exited
      },
    }
  }
  throw new Error('The provider ended before it was listening.')
}
