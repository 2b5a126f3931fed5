/** Requests and their answers, each with what it cost. */
import { Usdc } from '@drain/core'
import type { Trial } from '../../try/Trial.ts'
import type { Notices } from '../notices.ts'
import { make, makeButton, part } from '../page.ts'
import { wordsOf } from '../wordsOf.ts'
import type { Payer } from './Payer.ts'
import { readAnswer } from './readAnswer.ts'
import type { Terms } from './readTerms.ts'

type Message = { role: 'user' | 'assistant'; content: string }
type Request = { shown: string; path: string; body: unknown }

/** @param after Called when a request has ended. */
export function createConversation(options: {
  trial: Trial
  notices: Notices
  /** Who pays now; nobody while the limits are none. */
  payer: () => Promise<Payer | undefined>
  terms: () => Terms | undefined
  after: () => Promise<void>
}) {
  const { trial, notices, payer, terms, after } = options
  const { models, apiUrl, streaming } = trial
  const history: Message[] = []
  const form = part<HTMLFormElement>('ask')
  const [model, message] = [part<HTMLSelectElement>('model'), part<HTMLTextAreaElement>('message')]
  const [tokens, path] = [part<HTMLInputElement>('max-tokens'), part<HTMLInputElement>('call-path')]
  const callBody = part<HTMLTextAreaElement>('call-body')

  model.replaceChildren(...models.map(({ id, name }) => make('option', { value: id }, name || id)))
  callBody.value = JSON.stringify(chatOf('Hello'), undefined, 2)

  const isChat = () => new FormData(form).get('kind') !== 'call'

  function chatOf(content: string) {
    const messages = [...history, { role: 'user' as const, content }]
    return { model: model.value, messages, max_tokens: Number(tokens.value) || 512 }
  }

  function look(): void {
    part('chat-fields').hidden = !isChat()
    part('call-fields').hidden = isChat()
    const most = isChat() ? terms()?.quote(chatOf(message.value)) : undefined
    part('estimate').textContent =
      most === undefined
        ? 'What it costs is what the provider asks for, within your limits.'
        : `Costs at most ${Usdc.display(most)}.`
  }

  /** @throws Where the form isn't filled in. */
  function read(): Request {
    if (!isChat()) {
      const url = new URL(path.value.trim() || '/', `${apiUrl}/`)
      if (url.origin !== new URL(apiUrl).origin)
        throw new Error(`The path must be one of ${new URL(apiUrl).origin}.`)
      return {
        shown: `POST ${path.value}\n${callBody.value}`,
        path: path.value.trim(),
        body: parseBody(callBody.value),
      }
    }
    const content = message.value.trim()
    if (content === '') throw new Error('Write a message first.')
    const body = { ...chatOf(content), ...(streaming && { stream: true }) }
    return { shown: content, path: '/v1/chat/completions', body }
  }

  async function send(): Promise<void> {
    const { client } = (await payer()) ?? {}
    if (!client) return
    const request = read()
    const key = crypto.randomUUID()
    const stop = new AbortController()
    const [words, cost] = [make('span'), make('small', {}, 'Waiting …')]
    const stopButton = makeButton('Stop', () => stop.abort(), { class: 'quiet' })
    const item = make(
      'li',
      { class: 'answer', 'aria-busy': 'true' },
      words,
      make('p', { class: 'below' }, cost, ' ', stopButton),
    )
    part('log').append(make('li', { class: 'question' }, request.shown), item)
    let isTold = false
    const forget = client.on('paid', ({ idempotencyKey, cost: paid }) => {
      if (idempotencyKey !== key) return
      isTold = true
      cost.textContent = `${paid} USDC`
    })
    try {
      const response = await client.fetch(`${apiUrl}/${request.path.replace(/^\/+/, '')}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key },
        body: JSON.stringify(request.body),
        signal: stop.signal,
      })
      for await (const piece of readAnswer(response)) words.append(piece)
      remember(request)(words.textContent ?? '')
      message.value = ''
      if (!isTold) cost.textContent = 'It told no cost; see what is left.'
    } catch (error) {
      cost.textContent = stop.signal.aborted ? 'Stopped.' : `Failed: ${wordsOf(error)}`
      if (!stop.signal.aborted) throw error
    } finally {
      forget()
      stopButton.remove()
      item.removeAttribute('aria-busy')
      await after()
    }
  }

  /** A chat goes on from what was said. */
  function remember({ shown }: Request): (answer: string) => void {
    const wasChat = isChat()
    return (content) => {
      if (wasChat) history.push({ role: 'user', content: shown }, { role: 'assistant', content })
    }
  }

  form.addEventListener('input', look)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void notices.run('Asking …', send).then(look)
  })
  message.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    form.requestSubmit()
  })
  return { look }
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`The body is no JSON: ${(error as Error).message}`)
  }
}
