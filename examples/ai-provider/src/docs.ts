/** The service's part of `/v1/docs`: what an agent that knows nothing else needs to use it. */
import { Quote } from '@drain-protocol/sdk'
import type { Model } from './models.ts'

export function describeService(models: ReadonlyMap<string, Model>): string {
  const [first] = models.keys()
  return `The service: POST /v1/chat/completions, as in OpenAI's API, text only, streaming ("stream": true) or not.

  {"model": "${first}", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}

A request is quoted, before it is answered, at
  input price x (UTF-8 bytes of the JSON of messages and tools / 3, rounded up)
  + output price x max_tokens x n.
max_tokens should always be given: without it the quote covers the model's defaultMaxTokens (see /v1/pricing). What is
charged is the tokens really used, at most the quote. Tool calls and reasoning are output. An answer that fails before its
first word costs nothing; one that ends early costs what was sent. One that you leave before its first word is charged too, for
the input and what the model has done.

A stream is paid in steps of ${Quote.stepTokens} output tokens: a voucher for the input and the first step is enough to begin. When it is used
up, the stream sends "event: payment-need-voucher" with requiredCumulative, and waits half a minute for a voucher of that amount
at POST /v1/vouchers. A voucher for the whole quote is never asked for another. With an Idempotency-Key, an answer that was lost
on its way is given again for nothing.

Not taken: images, audio, files, "functions" (use "tools"), "prediction", "web_search_options".`
}
