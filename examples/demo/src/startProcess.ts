import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { LocalChain } from '@drain/consumer/testing'
import type { Hex } from 'viem'

export type Service = { url: string } & AsyncDisposable

/** The reference provider as a process of its own. */
export function startProvider(options: {
  chain: LocalChain
  privateKey: Hex
  folder: string
}): Promise<Service> {
  const { chain, privateKey, folder } = options
  return startProcess('../../ai-provider/src/index.ts', [], {
    PROVIDER_PRIVATE_KEY: privateKey,
    CHAIN_ID: String(chain.chainId),
    RPC_URL: chain.rpcUrl,
    CONTRACT_ADDRESS: chain.deployment.contract,
    USDC_ADDRESS: chain.deployment.token,
    HOST: '127.0.0.1',
    PORT: '0',
    DATABASE: join(folder, 'provider.db'),
    FREE_ROUTE: '1',
  })
}

/** A directory that lists providers, as a process of its own. */
export function startDirectory(providers: readonly string[]): Promise<Service> {
  return startProcess('../../providers/src/runDirectory.ts', providers, { PORT: '0' })
}

/** A script that serves, and says where. */
async function startProcess(
  script: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<Service> {
  const entry = fileURLToPath(new URL(script, import.meta.url))
  const child = spawn(process.execPath, [entry, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, ...env },
  })
  const exited = once(child, 'exit')
  const stop = () => void child.kill('SIGKILL')
  process.once('exit', stop)
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/[\d.:]+/.exec(line)?.[0]
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
  throw new Error(`${script} ended before it was listening.`)
}
