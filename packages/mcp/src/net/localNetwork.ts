/** Keeps an agent that was talked into it from reaching what only this machine can reach. */
import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { DrainError } from '@drain/core'

const inside = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  inside.addSubnet(network, bits, 'ipv4')
}
for (const [network, bits] of [
  ['::', 128],
  ['::1', 128],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const) {
  inside.addSubnet(network, bits, 'ipv6')
}

/** Whether an IP address is one that the public can't reach. IPv4 in IPv6 counts as what it stands for. */
export function isInside(address: string): boolean {
  const kind = isIP(address)
  if (kind === 0) return true
  return inside.check(address, kind === 6 ? 'ipv6' : 'ipv4')
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
