/** The same chat request, paid and unpaid. */
import { Headers as Wire } from '@drain-protocol/sdk'

export type Question = { seed: number; stream: boolean }
export type Answer = { text: string; milliseconds: number }

/** Asks through a client that pays. `cost` is what the provider reported, in base units. */
export async function askPaid(
  fetch: typeof globalThis.fetch,
  url: string,
  question: Question,
): Promise<Answer & { cost: bigint }> {
  let cost: bigint | undefined
  const answer = await ask(fetch, `${url}/v1/chat/completions`, question, (headers, body) => {
    const inStream = /^: X-DRAIN-Cost: ([0-9]+)$/m.exec(body)?.[1]
    cost = inStream === undefined ? Wire.parseCosts(headers)?.cost : BigInt(inStream)
  })
  if (cost === undefined) throw new Error('The provider did not report a cost.')
  return { ...answer, cost }
}

/** Asks the route that does the same work for nothing. */
export function askUnpaid(url: string, question: Question): Promise<Answer> {
  return ask(globalThis.fetch, `${url}/free/v1/chat/completions`, question)
}

async function ask(
  fetch: typeof globalThis.fetch,
  url: string,
  { seed, stream }: Question,
  read?: (headers: Headers, body: string) => void,
): Promise<Answer> {
  const startedAt = performance.now()
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      model: 'drain-local',
      messages: [{ role: 'user', content: `Question ${seed}: what is a payment channel?` }],
      max_tokens: 32,
      seed,
      stream,
    }),
  })
  const body = await response.text()
  const milliseconds = performance.now() - startedAt
  if (!response.ok) throw new Error(`${response.status} ${body}`)
  read?.(response.headers, body)
  return { text: stream ? textOfStream(body) : JSON.parse(body).choices[0].message.content, milliseconds }
}

function textOfStream(body: string): string {
  return body
    .split('\n')
    .filter((line) => line.startsWith('data: {"'))
    .map((line) => JSON.parse(line.slice('data: '.length)).choices?.[0]?.delta?.content ?? '')
    .join('')
}
