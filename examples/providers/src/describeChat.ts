import type { ModelPrices } from './llmProxy.ts'

/** How to chat, for `/v1/docs`. */
export const describeChat = (
  prices: ModelPrices,
) => `Chat completions as in OpenAI's API, text only, streaming ("stream": true) or not.

POST /v1/chat/completions
${JSON.stringify({ model: prices.keys().next().value, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 50 })}

200
{"object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"…"}}],"usage":{"prompt_tokens":9,"completion_tokens":12}}

Quoted at input price x (UTF-8 bytes of the JSON of messages and tools / 3, rounded up) + output price x max_tokens; give
max_tokens, or the model's defaultMaxTokens (/v1/pricing) is quoted. Charged: the tokens of "usage", at most the quote.

Errors: {"error": {"message", "type", "code"}}. 400 invalid_request, 404 model_not_found, 413 too_large, 502 upstream_failed when
the model is out of reach: nothing is charged. 402 asks for payment, as above.`
