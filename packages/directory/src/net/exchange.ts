/** One request over a connection of its own, to addresses that were checked before. */
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP, type LookupFunction, type TcpSocketConnectOpts } from 'node:net'
import { OutwardError } from './OutwardError.ts'
import type { OutwardUrl } from './outwardUrl.ts'

export type Exchange = {
  method: string
  headers: Readonly<Record<string, string>>
  body: string | undefined
  /** The most bytes of an answer's body. */
  maxBytes: number
  /** Ends it when the time is up. */
  signal: AbortSignal
}

export type Exchanged = { status: number; headers: Headers; text: string }

/** The most bytes of an answer's head, and of what may follow its body. */
const longestHead = 16_384
/** How long one address of several is tried before the next one is, too, in milliseconds. */
const attemptMs = 2_000

/** @throws {OutwardError} `timeout`, `tls`, `too_large`, `bad_answer`, `unreachable` */
export async function exchange(
  { url, host }: OutwardUrl,
  addresses: readonly string[],
  { method, headers, body, maxBytes, signal }: Exchange,
): Promise<Exchanged> {
  const options: https.RequestOptions &
    Pick<TcpSocketConnectOpts, 'autoSelectFamily' | 'autoSelectFamilyAttemptTimeout'> = {
    hostname: host,
    port: url.port || (url.protocol === 'https:' ? 443 : 80),
    path: `${url.pathname}${url.search}`,
    method,
    headers: { ...headers, host: url.host },
    // An own connection each time: what one check left behind must not answer the next.
    agent: false,
    lookup: pinned(addresses),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: attemptMs,
    maxHeaderSize: longestHead,
    insecureHTTPParser: false,
    signal,
    // Whatever the environment says.
    rejectUnauthorized: true,
    servername: isIP(host) ? '' : host,
  }
  const request = (url.protocol === 'https:' ? https : http).request(options)
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve)
      request.on('error', reject)
      // Without a word, as after an upgrade that nobody asked for.
      request.on('close', () => reject(new Error('closed without an answer')))
      request.end(body)
    })
    return await read(response, maxBytes)
  } catch (error) {
    throw told(error, host, signal)
  } finally {
    // Errors that come after this are nobody's.
    request.on('error', () => {})
    request.destroy()
  }
}

/** Answers with what was checked, whatever is asked for. */
function pinned(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }))
  return (_host, { all: wantsAll }, callback) => {
    const [first] = all
    if (wantsAll || !first) callback(null, all)
    else callback(null, first.address, first.family)
  }
}

async function read(response: IncomingMessage, maxBytes: number): Promise<Exchanged> {
  const headers = new Headers()
  const { rawHeaders, statusCode = 0 } = response
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    headers.append(rawHeaders[index] as string, rawHeaders[index + 1] as string)
  }
  const encoding = headers.get('Content-Encoding')?.trim().toLowerCase() || 'identity'
  if (encoding !== 'identity') {
    const action = 'Answer as it is where a request says `Accept-Encoding: identity`.'
    throw new OutwardError('bad_answer', 'The answer is compressed, though that was not asked for.', action)
  }
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) {
      throw new OutwardError('too_large', `The answer has more than ${maxBytes} bytes.`, 'Answer with less.')
    }
    chunks.push(chunk)
  }
  return { status: statusCode, headers, text: new TextDecoder().decode(Buffer.concat(chunks)) }
}

/** The error as the one who runs the server may read it: nothing of addresses, ports or machines on our side. */
function told(cause: unknown, host: string, signal: AbortSignal): OutwardError {
  if (cause instanceof OutwardError) return cause
  const name = host.slice(0, 100)
  const code = String((cause as NodeJS.ErrnoException | undefined)?.code ?? '')
  if (signal.aborted) return lateAnswer(cause)
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new OutwardError(
      'too_large',
      'The answer’s headers are too long.',
      `Send less than ${longestHead} bytes.`,
      cause,
    )
  }
  if (code.startsWith('HPE_')) {
    const action = 'Check that the URL is that of a web server.'
    return new OutwardError('bad_answer', `${name} does not answer in HTTP.`, action, cause)
  }
  if (isTls(code)) {
    const action = 'Install a certificate for this name that browsers accept, with its whole chain.'
    return new OutwardError('tls', `${name} has no valid certificate: ${tlsProblem(code)}.`, action, cause)
  }
  const action = 'Check that the server runs, and that its firewall lets everybody in.'
  return new OutwardError('unreachable', `${name} can’t be reached, or ends the connection.`, action, cause)
}

/** The time is up. */
export function lateAnswer(cause?: unknown): OutwardError {
  return new OutwardError('timeout', 'The answer takes too long.', 'Answer sooner.', cause)
}

function isTls(code: string): boolean {
  return /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_PURPOSE|EPROTO)/.test(
    code,
  )
}

function tlsProblem(code: string): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'it is for another name'
  if (code === 'CERT_HAS_EXPIRED') return 'it has expired'
  if (/SELF_SIGNED|UNABLE_TO|DEPTH_ZERO/.test(code)) return 'nobody that browsers trust has signed it'
  return 'no secure connection comes about'
}
