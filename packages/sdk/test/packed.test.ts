/** The packages as they would be published, installed into an empty folder, run what the README shows. */
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { drainChannelAbi } from '@drain/core'
import { toHex } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { substitute } from '../../provider/test/readmeExamples.ts'
import { readmeExample } from './readme.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../../', import.meta.url))
const bin = (name: string) => join(root, 'node_modules', '.bin', name)
const catalog = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8')
const version = (name: string) =>
  `${name}@${new RegExp(`^  ['"]?${name}['"]?: (.*)$`, 'm').exec(catalog)?.[1]}`

let folder: string
let chain: LocalChain
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'drain-packed-'))
  chain = await startLocalChain()
  await run(bin('turbo'), ['run', 'build', '--filter=./packages/*'], { cwd: root })
  for (const name of readdirSync(join(root, 'packages'))) {
    await run(bin('pnpm'), ['pack', '--pack-destination', folder], { cwd: join(root, 'packages', name) })
  }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }))
  const tarballs = readdirSync(folder)
    // Comes later: the newest mppx and viem's optional peer on it don't go together. drain-mcp is a program of its own.
    .filter((file) => file.endsWith('.tgz') && !/^drain-(?:mpp|mcp)-/.test(file))
    .map((file) => `./${file}`)
  const others = ['viem', 'express', '@types/express', 'hono', 'better-sqlite3', '@types/node'].map(version)
  await run('npm', ['install', '--no-audit', '--no-fund', ...tarballs, ...others], { cwd: folder })
}, 300_000)
afterAll(async () => {
  await chain?.close()
  rmSync(folder, { recursive: true, force: true })
})

const key = (index: number) => toHex(chain.accounts[index]?.getHdKey().privateKey as Uint8Array)

/** An address of its own for this test's server. */
async function freePort(): Promise<number> {
  const server = createServer()
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
  await new Promise((resolve) => server.close(resolve))
  return port
}

function write(name: string, code: string): string {
  const path = join(folder, name)
  writeFileSync(path, code)
  return path
}

const onChain = () => {
  const { contract, token } = chain.deployment
  return `chainId: 31337, rpcUrl: '${chain.rpcUrl}', contractAddress: '${contract}', usdcAddress: '${token}'`
}

test('@drain/mpp installs beside the SDK as its README says, and its parts load', async () => {
  const options = ['--legacy-peer-deps', '--no-audit', '--no-fund', '--no-save']
  const [tarball] = readdirSync(folder).filter((file) => file.startsWith('drain-mpp-'))
  await run('npm', ['install', ...options, `./${tarball}`, version('mppx')], { cwd: folder })
  const code = `
    import { drainSession, evmCharge } from '@drain/mpp/server'
    import { drainWire, session } from '@drain/mpp/client'
    console.log([drainSession, evmCharge, drainWire, session].map((one) => typeof one).join())`
  const { stdout } = await run(process.execPath, [write('mpp.ts', code)], { cwd: folder })
  expect(stdout.trim()).toBe('function,function,function,function')
}, 120_000)

test('an API that the README shows is paid by the client that the README shows', async () => {
  const port = await freePort()
  const provide = substitute(readmeExample('provide'), {
    'chainId: 137': onChain(),
    'app.listen(3000)': `app.listen(${port}, '127.0.0.1', (error) => console.log(error ?? 'ready'))`,
  })
  const server = spawn(process.execPath, [write('provide.ts', provide)], {
    cwd: folder,
    env: { ...process.env, PROVIDER_PRIVATE_KEY: key(1) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const lines = createInterface({ input: server.stdout })
    const ready = new Promise<void>((resolve, reject) => {
      lines.on('line', (line) => (line === 'ready' ? resolve() : reject(new Error(line))))
      server.on('exit', (code) => reject(new Error(`The API ended with ${code}.`)))
    })
    await ready
    const pay = substitute(readmeExample('pay'), {
      'chainId: 137': onChain(),
      'https://api.example.com': `http://127.0.0.1:${port}`,
    })
    const env = { ...process.env, PRIVATE_KEY: key(0) }
    const { stdout } = await run(process.execPath, [write('pay.ts', pay)], { cwd: folder, env })
    expect(stdout).toContain('Two transactions walk into a bar')
  } finally {
    server.kill()
  }
  const { deployment, publicClient } = chain
  const common = { address: deployment.contract, abi: drainChannelAbi, fromBlock: 0n } as const
  const [claimed] = await publicClient.getContractEvents({ ...common, eventName: 'ChannelClaimed' })
  const [closed] = await publicClient.getContractEvents({ ...common, eventName: 'ChannelClosed' })
  expect(claimed?.args).toMatchObject({ provider: chain.accounts[1].address, amount: 1_000n })
  expect(closed?.args.consumer).toBe(chain.accounts[0].address)
}, 120_000)

test('the quickstart step by step', async () => {
  const code = substitute(readmeExample('steps'), {
    "import { polygon } from 'viem/chains'": `import { foundry } from 'viem/chains'`,
    'chain: polygon, transport: http()': `chain: foundry, transport: http('${chain.rpcUrl}')`,
    'chainId: CHAIN_IDS.POLYGON_MAINNET': `${onChain()}, ...(CHAIN_IDS ? {} : {})`,
    '0xProvider': chain.accounts[1].address,
  })
  const env = { ...process.env, PRIVATE_KEY: key(2) }
  const { stdout } = await run(process.execPath, [write('steps.ts', code)], { cwd: folder, env })
  expect(stdout).toContain('amount: 500000n')
  expect(stdout).toMatch(/10\s*$/)
})

test('the declarations fit the README, in both module systems', async () => {
  for (const name of ['pay', 'steps', 'provide']) {
    write(
      `${name}-types.ts`,
      substitute(readmeExample(name), name === 'steps' ? { "'0xProvider'": "'0x00'" } : {}),
    )
  }
  write(
    'common.cts',
    "import sdk = require('@drain-protocol/sdk')\nexport const amount: bigint = sdk.parseUsdc('1')\n",
  )
  for (const moduleResolution of ['bundler', 'nodenext']) {
    const module = moduleResolution === 'bundler' ? 'preserve' : 'nodenext'
    const files = ['pay-types.ts', 'steps-types.ts', 'provide-types.ts', 'common.cts']
    const options = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--target',
      'es2023',
      '--module',
      module,
      '--moduleResolution',
      moduleResolution,
    ]
    await run(bin('tsc'), [...options, '--types', 'node', ...files], { cwd: folder }).catch((error) => {
      throw new Error(error.stdout)
    })
  }
}, 120_000)

test('CommonJS can require it', async () => {
  const code = `
    const sdk = require('@drain-protocol/sdk')
    const { sqliteLedger } = require('@drain-protocol/sdk/sqlite')
    console.log(sdk.parseUsdc('1.5'), typeof sdk.createDrainConsumer, typeof sdk.Voucher.fromHeader, typeof sqliteLedger)
  `
  const { stdout } = await run(process.execPath, [write('common.cjs', code)], { cwd: folder })
  expect(stdout.trim()).toBe('1500000n function function function')
})

test('a browser build has no native module and nothing of Node', async () => {
  const entry = write('browser.js', "import * as sdk from '@drain-protocol/sdk'\nconsole.log(sdk)\n")
  const outfile = join(folder, 'browser.bundle.js')
  const options = [
    '--bundle',
    '--platform=browser',
    '--format=esm',
    '--log-level=error',
    `--outfile=${outfile}`,
  ]
  await run(bin('esbuild'), [entry, ...options], { cwd: folder })
  const bundle = readFileSync(outfile, 'utf8')
  expect(bundle).not.toMatch(/better-sqlite3|from ?"node:|require\("node:/)
})
