/** Asks a paid chat API one question: `npm start -- "question"`, `npm start -- --close`, or both at once. */
import { Usdc } from '@drain-protocol/sdk'
import OpenAI from 'openai'
import { clientFrom } from './client.ts'

const args = process.argv.slice(2)
const question = args.filter((arg) => arg !== '--close').join(' ')

try {
  if (args.length === 0) throw new Error('Ask something: npm start -- "question"')
  const client = clientFrom(process.env)
  if (question) {
    const baseURL = `${process.env.PROVIDER_URL || 'http://127.0.0.1:3000'}/v1`
    // A retry would be another payment.
    const openai = new OpenAI({ apiKey: 'none', baseURL, fetch: client.fetch, maxRetries: 0 })
    const before = await client.spending()
    const answer = await openai.chat.completions.create({
      model: process.env.MODEL || ((await openai.models.list()).data[0]?.id ?? ''),
      messages: [{ role: 'user', content: question }],
      max_tokens: 300,
    })
    const after = await client.spending()
    console.log(`answer: ${answer.choices[0]?.message.content}`)
    console.log(`cost: ${Usdc.display(Usdc.parse(after.charged) - Usdc.parse(before.charged))}`)
  }
  if (args.includes('--close')) {
    for (const { channelId, finalAmount, refund } of await client.closeAll()) {
      console.log(`closed: ${channelId} paid ${finalAmount} USDC, ${refund} USDC came back`)
    }
  }
} catch (error) {
  // OpenAI's SDK says no more than "Connection error." of what `fetch` throws.
  const reason = error instanceof OpenAI.APIConnectionError ? error.cause : error
  console.error(`error: ${reason instanceof Error ? reason.message : reason}`)
  process.exitCode = 1
}
