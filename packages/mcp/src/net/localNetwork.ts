/** Keeps an agent that was talked into it from reaching what only this machine can reach. */
import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { DrainError } from '@drain/core'

/** What the IANA's special-purpose registries (RFC 6890) keep for something else than everybody. */
const special = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  // A cloud's own, though the number is a public one.
  ['168.63.129.16', 32],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  special.addSubnet(network, bits, 'ipv4')
}
for (const [network, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3ffe::', 16],
  ['3fff::', 20],
] as const) {
  special.addSubnet(network, bits, 'ipv6')
}

/** All that is assigned to anybody: local addresses and those that stand for IPv4 ones are outside it. */
const unicast = new BlockList()
unicast.addSubnet('2000::', 3, 'ipv6')

/** Whether an IP address is one that the public can't reach. IPv4 in IPv6 counts as inside: no public service is named so. */
export function isInside(address: string): boolean {
  // With a zone it is a local one.
  const version = address.includes('%') ? 0 : isIP(address)
  if (version === 4) return special.check(address)
  return version === 0 || special.check(address, 'ipv6') || !unicast.check(address, 'ipv6')
}

export type NetworkOptions = {
  /** Origins that the operator has named: they may be anywhere. */
  trusted: ReadonlySet<string>
  /** Whether servers on this machine may be asked: on local chains. */
  allowLoopback: boolean
  /** What a name stands for; as the system says by default. */
  resolve?: (host: string) => Promise<readonly { address: string }[]>
}

/**
 * A `fetch` for addresses that an agent, a directory or a provider named: over TLS, and to no address inside this network. Where
 * the name would resolve to another address the next moment, the certificate is what stops it. Each redirect is looked at alike.
 *
 * @throws {DrainError} `address_refused`
 */
export function createOutwardFetch({
  trusted,
  allowLoopback,
  resolve = (host) => lookup(host, { all: true }),
}: NetworkOptions): typeof globalThis.fetch {
  async function assertOutward(url: URL): Promise<void> {
    if (trusted.has(url.origin)) return
    const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
    const isLoopback = /^(?:(?:.+\.)?localhost|::1|127\.\d+\.\d+\.\d+)$/.test(host)
    if (isLoopback && allowLoopback) return
    if (isLoopback || (isIP(host) !== 0 && isInside(host)))
      throw refused(url, 'is not on the public internet')
    if (url.protocol !== 'https:') throw refused(url, 'has no TLS')
    if (isIP(host) !== 0) return
    // A name that isn't found is for the request itself to fail at.
    const addresses = await resolve(host).catch(() => [])
    if (addresses.some(({ address }) => isInside(address))) throw refused(url, 'leads into the local network')
  }

  return async (input, init) => {
    let url = new URL(input instanceof Request ? input.url : input)
    for (let hops = 0; ; hops++) {
      await assertOutward(url)
      const response = await globalThis.fetch(hops === 0 ? input : url, { ...init, redirect: 'manual' })
      const next = nextHop(url, response, init)
      if (!next || hops === mostHops) {
        if (hops > 0) Object.defineProperty(response, 'redirected', { value: true })
        return response
      }
      await response.body?.cancel()
      url = next
    }
  }
}

/** As many redirects as are followed. */
const mostHops = 5

/** Where a request that may be redirected goes on: one that only reads. What carries a payment follows none. */
function nextHop(url: URL, response: Response, init: RequestInit | undefined): URL | undefined {
  const { method = 'GET', redirect = 'follow' } = init ?? {}
  if (redirect !== 'follow' || !/^(?:GET|HEAD)$/i.test(method)) return undefined
  const location = [301, 302, 303, 307, 308].includes(response.status) && response.headers.get('location')
  return location && URL.canParse(location, url) ? new URL(location, url) : undefined
}

function refused({ origin }: URL, problem: string): DrainError {
  return new DrainError('address_refused', `${origin} ${problem}: it is not asked.`, {
    action: 'If the owner of this wallet trusts it, they can list its origin in DRAIN_ALLOWED_PROVIDERS.',
  })
}
