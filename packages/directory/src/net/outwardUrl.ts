import { isIP } from 'node:net'
import { addressScope } from './addressScope.ts'
import { OutwardError } from './OutwardError.ts'

/** The longest URL that is asked, in characters. */
const longest = 2_000

/** Above the ports of system services, those where something else listens than HTTP: browsers' list, and databases. */
const otherServices = new Set([
  1433, 1521, 1719, 1720, 1723, 2049, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5432, 5900, 6000, 6379, 6566,
  6665, 6666, 6667, 6668, 6669, 6679, 6697, 10_080, 11_211, 27_017,
])

/** A URL that may be asked, as far as that can be told before its name is looked up. */
export type OutwardUrl = {
  url: URL
  /** Its name, or IP address without brackets. */
  host: string
  isLoopback: boolean
}

/**
 * Reads a URL that a stranger named. Every spelling of an IPv4 address becomes the usual one, and so do names in other alphabets.
 *
 * @param from What redirects there.
 * @throws {OutwardError} `url_refused`, `address_refused`
 */
export function outwardUrl(text: string, allowLoopback: boolean, from?: OutwardUrl): OutwardUrl {
  if (text.length > longest || !URL.canParse(text, from?.url)) {
    throw refused(
      'This is not a URL',
      `Give a whole one of at most ${longest} characters: https://api.example.com.`,
    )
  }
  const url = new URL(text, from?.url)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw refused('Only https is asked', 'Give a URL that begins with https://.')
  }
  if (url.username || url.password) {
    throw refused(
      'The URL has a user name or password in it',
      'Give one without: it would be shown to everybody.',
    )
  }
  // A name with a dot at its end is the same one, and no certificate has it.
  if (url.hostname.endsWith('.')) url.hostname = url.hostname.slice(0, -1)
  url.hash = ''
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const isLoopback = host === 'localhost' || addressScope(host) === 'loopback'
  if (url.protocol === 'http:' && !(isLoopback && allowLoopback)) {
    throw refused('Only https is asked', 'Serve the API over TLS, and give a URL that begins with https://.')
  }
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  if ((port < 1_024 && port !== 80 && port !== 443) || otherServices.has(port)) {
    throw refused(`Port ${port} belongs to another service than HTTP`, 'Use 443, or one above 1023.')
  }
  // Local servers may be asked because someone here named them, not because a stranger sends us there.
  if (isLoopback && from && !from.isLoopback) {
    const problem = 'The server redirects to a local address.'
    throw new OutwardError('address_refused', problem, 'Give the URL of the API itself.')
  }
  return { url, host, isLoopback }
}

/** Whether a host is an IP address already, so that nothing has to be looked up. */
export function isAddress(host: string): boolean {
  return isIP(host) !== 0
}

function refused(problem: string, action: string): OutwardError {
  return new OutwardError('url_refused', `${problem}.`, action)
}
