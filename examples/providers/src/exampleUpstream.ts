/** A stand-in for the API of a language model, so that the providers in front of one can be tried offline: it repeats. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

/** `models` may be changed while it runs. Without any it answers 500, as an upstream that is down. */
export async function startExampleUpstream(port = 0) {
  // USD per token, as OpenRouter lists them.
  const models: { id: string; pricing: { prompt: string; completion: string } }[] = [
    { id: 'parrot-small', pricing: { prompt: '0.000001', completion: '0.000002' } },
    { id: 'parrot-large', pricing: { prompt: '0.00001', completion: '0.00002' } },
  ]

  function chat(body: ChatBody, res: ServerResponse): void {
    const asked = body.messages.map(({ content }) => content ?? '').join(' ')
    const words = `You said: ${asked}`.split(/(?=\s)/).slice(0, body.max_tokens)
    const usage = { prompt_tokens: asked.split(/\s+/).length, completion_tokens: words.length }
    const shared = { id: 'chatcmpl-parrot', created: 1_700_000_000, model: body.model }
    if (!body.stream) {
      const message = { role: 'assistant', content: words.join('') }
      const choices = [{ index: 0, message, finish_reason: 'stop' }]
      res.end(JSON.stringify({ ...shared, object: 'chat.completion', choices, usage }))
      return
    }
    res.setHeader('Content-Type', 'text/event-stream')
    const send = (part: object) =>
      res.write(`data: ${JSON.stringify({ ...shared, object: 'chat.completion.chunk', ...part })}\n\n`)
    for (const content of words) send({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })
    send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
    if (body.stream_options?.include_usage) send({ choices: [], usage })
    res.end('data: [DONE]\n\n')
  }

  const server = createServer(async (req, res) => {
    try {
      if (models.length === 0) res.statusCode = 500
      res.setHeader('Content-Type', 'application/json')
      if (res.statusCode === 500) res.end('{}')
      else if (req.url === '/v1/models') res.end(JSON.stringify({ data: models }))
      else chat((await json(req)) as ChatBody, res)
    } catch {
      res.writeHead(400).end('{}')
    }
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    models,
    close() {
      server.closeAllConnections()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

type ChatBody = {
  model: string
  messages: { content?: string | null }[]
  max_tokens: number
  stream?: boolean
  stream_options?: { include_usage?: boolean }
}
