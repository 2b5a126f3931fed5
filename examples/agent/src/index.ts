/** Asks a paid chat API one question. Usage: `npm start -- "question"`, `npm start -- --close`, or both at once. */
import { createDrainClient, Usdc } from '@drain-protocol/sdk'
import OpenAI from 'openai'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { fileStore } from './fileStore.ts'

const { CONSUMER_PRIVATE_KEY, PROVIDER_URL = 'http://127.0.0.1:3000', CHAIN_ID, MODEL } = process.env
const { RPC_URL, CONTRACT_ADDRESS, USDC_ADDRESS, CHANNELS_FILE = 'channels.json' } = process.env
const question = process.argv
  .slice(2)
  .filter((argument) => argument !== '--close')
  .join(' ')

try {
  if (!CONSUMER_PRIVATE_KEY || !CHAIN_ID)
    throw new Error('Set CONSUMER_PRIVATE_KEY and CHAIN_ID, as env.example says.')
  const client = createDrainClient({
    account: privateKeyToAccount(CONSUMER_PRIVATE_KEY as Hex),
    chainId: Number(CHAIN_ID),
    rpcUrl: RPC_URL || undefined,
    contractAddress: (CONTRACT_ADDRESS as Hex) || undefined,
    usdcAddress: (USDC_ADDRESS as Hex) || undefined,
    limits: { perRequest: '0.05', perChannel: '1' },
    store: fileStore(CHANNELS_FILE),
  })
  const charged = async () => Usdc.parse((await client.spending()).charged)
  const before = await charged()

  if (question) {
    // No retries: each would be another payment.
    const openai = new OpenAI({
      apiKey: 'none',
      baseURL: `${PROVIDER_URL}/v1`,
      fetch: client.fetch,
      maxRetries: 0,
    })
    const model = MODEL || ((await openai.models.list()).data[0]?.id ?? '')
    const messages = [{ role: 'user' as const, content: question }]
    const answer = await openai.chat.completions.create({ model, messages, max_tokens: 300 })
    console.log(`answer: ${answer.choices[0]?.message.content}`)
    console.log(`cost: ${Usdc.display((await charged()) - before)}`)
  }
  if (process.argv.includes('--close')) {
    for (const { channelId, refund } of await client.closeAll())
      console.log(`closed: ${channelId}, ${refund} USDC came back`)
  }
} catch (error) {
  console.error(
    `error: ${error instanceof Error ? ((error.cause as Error)?.message ?? error.message) : error}`,
  )
  process.exitCode = 1
}
