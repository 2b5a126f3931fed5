/** Binary upload and download: bytes in, bytes out, priced by their number. */
import { promisify } from 'node:util'
import { brotliCompress, constants, deflate, gzip } from 'node:zlib'
import { createPaywall, Pricing } from '@drain-protocol/sdk'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import type { Context } from 'hono'
import { choiceIn, textIn } from './body.ts'
import { describeRoute, describeTasks } from './describeTasks.ts'
import { Refusal, refused } from './problem.ts'
import { Hono, listen, type ProviderOptions, type RunningProvider } from './provider.ts'
import { taskRoute } from './task.ts'

const brotli = promisify(brotliCompress)
const codecs = {
  gzip: promisify(gzip),
  deflate: promisify(deflate),
  // Its default takes ten seconds for the largest file.
  br: (file: ArrayBuffer | Buffer) => brotli(file, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
}
const formats = Object.keys(codecs) as (keyof typeof codecs)[]
const kibibyte = Pricing.perUnit('0.00002', 'KiB')
/** For files in a message, which can't be larger than that. */
const models = { compress: Pricing.flat('0.001') }
const mostInMessage = 48 * 1_024
const most = 4 * 1_048_576

export async function startCompression({
  port,
  ledger = sqliteLedger('compression.db'),
  ...chain
}: ProviderOptions): Promise<RunningProvider> {
  const paywall = createPaywall({
    ...{ ...chain, ledger, name: 'Compression', models, docs },
    routes: [
      { method: 'POST', path: '/v1/compress', summary: 'Compresses the body (?format=gzip, deflate or br)' },
      describeRoute(example, 'Compresses a small file'),
    ],
    // So that large bodies may have an Idempotency-Key. Their answers are kept only up to 256 KiB.
    idempotency: { maxBodyBytes: most },
  })
  const app = new Hono()

  async function compress({ req }: Context): Promise<Response> {
    try {
      const format = choiceIn(req.query(), 'format', formats, 'gzip')
      // The price is known before a byte of the body is read, and an upload that is too large never is.
      const bytes = lengthOf(req.raw)
      const quote = Pricing.cost(kibibyte, { units: Math.ceil(bytes / 1_024) })
      return await paywall.handle(req.raw, quote, async () => {
        const packed = await codecs[format](await req.raw.arrayBuffer())
        return new Response(packed, { headers: { 'Content-Type': 'application/octet-stream' } })
      })
    } catch (error) {
      return refused(error)
    }
  }
  app.post('/v1/compress', compress).put(compress)

  const oneMessage = (mostInMessage / 3) * 4
  app.post(
    '/v1/chat/completions',
    taskRoute(
      paywall,
      ({ input }) => {
        const format = choiceIn(input, 'format', formats, 'gzip')
        const file = Buffer.from(textIn(input, 'base64', oneMessage), 'base64')
        if (file.length === 0) throw new Refusal(400, 'invalid_request', '`base64` is not a file in base64.')
        const work = async () => ({ format, base64: (await codecs[format](file)).toString('base64') })
        return { quote: Pricing.cost(models.compress), work }
      },
      { maxBytes: oneMessage + 4_096 },
    ),
  )
  return listen(paywall, app, port)
}

function lengthOf({ headers }: Request): number {
  const length = Number(headers.get('Content-Length') ?? 0)
  if (length > most) throw new Refusal(413, 'too_large', `The file has more than ${most} bytes.`)
  if (length > 0) return length
  throw new Refusal(411, 'length_required', 'Send the file as the body, with its Content-Length.')
}

const example = {
  model: 'compress',
  input: { format: 'deflate', base64: Buffer.from('drain '.repeat(20)).toString('base64') },
  result: { format: 'deflate', base64: 'eJxLKUrMzFNIoTsJAFvqK5k=' },
}

const docs = `Files go up and come down as bytes, on a route of their own:

POST (or PUT) /v1/compress?format=gzip, deflate or br, with the file as the body and its Content-Length, at most ${most} bytes.
The answer's body is the compressed file. It costs 0.00002 USDC for each 1,024 bytes of the upload, rounded up. 411 without
Content-Length, 413 when it is too large, before anything is read or paid.

A small file, of at most ${mostInMessage} bytes, can also go in base64 into a message, at one price:
{"format": "gzip", "deflate" or "br", "base64": string}.

${describeTasks([example])}`
