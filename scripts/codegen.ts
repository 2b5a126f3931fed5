// Writes what TypeScript needs from the Solidity build:
//   packages/core/src/abi.generated.ts                     the contract's ABI, by @wagmi/cli (wagmi.config.ts)
//   packages/core/src/deployments.generated.ts             what was deployed from here: the records in deployments/
//   packages/consumer/src/testing/artifacts.generated.ts   creation code of DrainChannel and of Circle's USDC
//
//   node scripts/codegen.ts           builds the contract and writes the files
//   node scripts/codegen.ts --check   builds the contract and fails when a committed file differs
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { forge } from './forge.ts'

const root = join(import.meta.dirname, '..')
const abiFile = 'packages/core/src/abi.generated.ts'
const deploymentsFile = 'packages/core/src/deployments.generated.ts'
const artifactsFile = 'packages/consumer/src/testing/artifacts.generated.ts'
const header = '// Written by `node scripts/codegen.ts`. Do not edit.\n'

type Artifact = { bytecode: { object: string; linkReferences: Record<string, unknown> } }
type Fixture = {
  source: string
  signatureChecker: { address: string; runtimeCode: string }
  implementation: { creationCode: string }
  proxy: { creationCode: string }
}

/** Runs a binary of this workspace, with the workspace's Node first on PATH; shows its output only when it fails. */
function run(binary: string, args: string[], env: Record<string, string> = {}): void {
  const bin = join(root, 'node_modules/.bin')
  try {
    execFileSync(join(bin, binary), args, {
      cwd: root,
      env: { ...process.env, ...env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` },
      stdio: 'pipe',
      encoding: 'utf8',
    })
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    console.error(stdout ?? '', stderr ?? '')
    throw new Error(`${binary} ${args.join(' ')} failed`)
  }
}

/** The ABI as @wagmi/cli writes it. */
function generateAbi(): string {
  const folder = mkdtempSync(join(tmpdir(), 'drain-codegen-'))
  try {
    const out = join(folder, 'abi.ts')
    run('wagmi', ['generate'], { DRAIN_ABI_OUT: out })
    return `${header}\n${readFileSync(out, 'utf8')}`
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(join(root, path), 'utf8'))
}

/** A string constant; on a line of its own, so that a diff of 50,000 digits at least says which contract changed. */
function constant(name: string, comment: string, value: string): string {
  if (!/^0x[0-9a-fA-F]+$/.test(value)) throw new Error(`${name} is not fully linked code`)
  return `/** ${comment} */\nexport const ${name} =\n  '${value}'\n`
}

function generateArtifacts(): string {
  const { bytecode } = readJson<Artifact>('out/DrainChannel.sol/DrainChannel.json')
  const usdc = readJson<Fixture>('contracts/test/fixtures/usdc.json')
  return [
    header,
    constant(
      'drainChannelCode',
      'Creation code of DrainChannel: append (token, feeRecipient, feeBps).',
      bytecode.object,
    ),
    // A comment that bundlers keep.
    `/*! What follows is Circle's USDC, Copyright Circle Internet Financial, LTD., Apache License 2.0 (${usdc.source}). */\n`,
    constant(
      'signatureCheckerAddress',
      'Where the code of USDC expects its library.',
      usdc.signatureChecker.address,
    ),
    constant('signatureCheckerCode', "The library's runtime code.", usdc.signatureChecker.runtimeCode),
    constant('usdcCode', 'Creation code of FiatTokenV2_2.', usdc.implementation.creationCode),
    constant(
      'usdcProxyCode',
      'Creation code of FiatTokenProxy: append (implementation).',
      usdc.proxy.creationCode,
    ),
  ].join('\n')
}

/** The records that the deployment script wrote, without those of local chains. */
function generateDeployments(): string {
  const folder = join(root, 'deployments')
  const records = (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => /^[0-9]+\.json$/.test(name) && name !== '31337.json')
    .sort()
    .map((name) => readJson<Record<string, unknown>>(`deployments/${name}`))
    .map(({ chainId, contract, token, feeBps }) => ({ chainId, contract, token, feeBps }))
  return `${header}
import type { Address } from 'viem'

/** Deployments of the current contract, as its deployment script recorded them. */
export const recorded: readonly { chainId: number; contract: Address; token: Address; feeBps: number }[] = ${JSON.stringify(records, null, 2)}
`
}

forge(['build', 'contracts/src'])
const files = {
  [abiFile]: generateAbi(),
  [deploymentsFile]: generateDeployments(),
  [artifactsFile]: generateArtifacts(),
}

for (const [path, text] of Object.entries(files)) {
  const file = join(root, path)
  const current = existsSync(file) ? readFileSync(file, 'utf8') : undefined
  if (current === text) continue
  if (process.argv.includes('--check')) {
    console.error(`${path} is stale: run \`node scripts/codegen.ts\` and commit the result.`)
    process.exitCode = 1
  } else {
    writeFileSync(file, text)
    console.log(`wrote ${path}`)
  }
}
