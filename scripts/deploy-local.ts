// Deploys Circle's real USDC and, by contracts/script/Deploy.s.sol, DrainChannel on a local chain, and writes the deployment
// record, as it is done on a real one; then checks that all of it is there.
//
//   node scripts/deploy-local.ts          on an anvil of its own, which ends with this
//   node scripts/deploy-local.ts --keep   the same, and leaves it running until Ctrl-C
//   RPC_URL=http://127.0.0.1:8545 node scripts/deploy-local.ts    on yours (chain id 31337, unlocked accounts)
//
// A second run on the same chain finds everything there, and changes nothing.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Address,
  createPublicClient,
  createTestClient,
  createWalletClient,
  encodeFunctionData,
  type Hex,
  http,
  isAddressEqual,
  parseAbi,
} from 'viem'
import { foundry } from 'viem/chains'
import { startAnvil } from '../packages/consumer/src/testing/anvil.ts'
import { sendAll } from '../packages/consumer/src/testing/sendAll.ts'
import { deployUsdc, fiatTokenAbi } from '../packages/consumer/src/testing/usdc.ts'
import * as Deployment from '../packages/core/src/Deployment.ts'
import { forge } from './forge.ts'

type DeploymentRecord = {
  chainId: number
  contract: Address
  token: Address
  feeBps: number
  feeRecipient: Address
  block: number
  transaction?: Hex
}

const drainAbi = parseAbi([
  'function token() view returns (address)',
  'function feeBps() view returns (uint16)',
  'function feeRecipient() view returns (address)',
])

const root = join(import.meta.dirname, '..')
const recordPath = `deployments/${foundry.id}.json`

const anvil = process.env.RPC_URL ? undefined : await startAnvil(['--chain-id', String(foundry.id)])
try {
  const rpcUrl = process.env.RPC_URL ?? anvil?.rpcUrl ?? ''
  const { record, isNew } = await deployLocal(rpcUrl)
  console.log(`DrainChannel  ${record.contract}${isNew ? '' : ' (was there)'}`)
  console.log(`USDC          ${record.token}`)
  console.log(`record        ${recordPath}`)
  console.log(`node          ${rpcUrl}`)
  if (anvil && process.argv.includes('--keep')) {
    console.log('Ctrl-C ends it.')
    const forever = setInterval(() => {}, 2 ** 30)
    await new Promise((resolve) => process.once('SIGINT', resolve))
    clearInterval(forever)
  }
} finally {
  await anvil?.close()
}

async function deployLocal(rpcUrl: string): Promise<{ record: DeploymentRecord; isNew: boolean }> {
  const common = { chain: foundry, transport: http(rpcUrl), pollingInterval: 20, cacheTime: 0 }
  const publicClient = createPublicClient(common)
  const testClient = createTestClient({ ...common, mode: 'anvil' })
  const chainId = await publicClient.getChainId()
  if (chainId !== foundry.id)
    throw new Error(`${rpcUrl} has chain id ${chainId}: this is for local chains, 31337`)
  const accounts = await createWalletClient(common).getAddresses()
  const [deployer, issuer] = [accounts.at(0), accounts.at(-1)] as [Address, Address]

  let token = process.env.DRAIN_TOKEN as Address | undefined
  const known = readRecord()?.token
  if (!token && known && (await publicClient.getCode({ address: known }))) token = known
  if (!token) {
    const usdc = await deployUsdc(testClient, issuer)
    const mint = (to: Address) =>
      encodeFunctionData({ abi: fiatTokenAbi, functionName: 'mint', args: [to, 10_000_000_000n] })
    await sendAll(
      testClient,
      issuer,
      accounts.map((account) => ({ to: usdc, data: mint(account) })),
    )
    token = usdc
  }

  const nonce = () => publicClient.getTransactionCount({ address: deployer })
  const before = await nonce()
  deploy(rpcUrl, token, ['--broadcast', '--unlocked', '--sender', deployer])
  const sent = (await nonce()) - before
  deploy(rpcUrl, token, []) // writes the record
  deploy(rpcUrl, token, ['--broadcast', '--unlocked', '--sender', deployer]) // changes nothing
  if (sent > 1 || (await nonce()) !== before + sent) throw new Error('deployed more than once')

  const record = readRecord()
  if (!record) throw new Error(`${recordPath} was not written`)
  const read = { address: record.contract, abi: drainAbi } as const
  const onChain = await Promise.all([
    publicClient.readContract({ ...read, functionName: 'token' }),
    publicClient.readContract({ ...read, functionName: 'feeBps' }),
    publicClient.readContract({ ...read, functionName: 'feeRecipient' }),
  ])
  const recorded = [record.token, record.feeBps, record.feeRecipient]
  if (JSON.stringify(onChain) !== JSON.stringify(recorded) || !isAddressEqual(record.token, token)) {
    throw new Error(`${recordPath} says ${recorded}, the contract ${onChain}`)
  }
  if (record.transaction) {
    const receipt = await publicClient.getTransactionReceipt({ hash: record.transaction })
    if (receipt.blockNumber !== BigInt(record.block)) throw new Error(`${recordPath} has the wrong block`)
  } else if (sent > 0) {
    throw new Error(`${recordPath} lacks the transaction`)
  }
  const deployment = Deployment.from(record)
  if (deployment.channelIds !== 'opening') throw new Error('@drain/core reads the record as another contract')
  return { record, isNew: sent > 0 }
}

function readRecord(): DeploymentRecord | undefined {
  const file = join(root, recordPath)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

function deploy(rpcUrl: string, token: Address, options: string[]): void {
  forge(['script', 'contracts/script/Deploy.s.sol', '--rpc-url', rpcUrl, ...options], { DRAIN_TOKEN: token })
}
