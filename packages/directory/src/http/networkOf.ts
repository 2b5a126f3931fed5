/** The network that a request comes from. */
import { isIP, isIPv4 } from 'node:net'

/**
 * The address of the last proxy that is not ours, or of the socket. Of an IPv6 address the /64: a household has that many addresses.
 *
 * @param proxies How many of our own stand before the server; each added one address to `X-Forwarded-For`.
 */
export function networkOf(
  socket: string | undefined,
  forwarded: string | null | undefined,
  proxies: number,
): string {
  const hops = [...(forwarded ?? '').split(',').map((text) => text.trim()), socket ?? '']
  const address = proxies > 0 ? (hops.at(-1 - proxies) ?? hops[0] ?? '') : (socket ?? '')
  return toNetwork(address)
}

function toNetwork(given: string): string {
  // Some proxies write the port, too.
  const address = /^(?:([\d.]+)|\[([^\]]+)\])(?::\d+)?$/.exec(given)?.slice(1).find(Boolean) ?? given
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped) return mapped
  if (isIPv4(address)) return address
  if (isIP(address) === 0) return 'unknown'
  const [head = '', tail] = (address.split('%')[0] as string).split('::')
  const left = head.split(':').filter(Boolean)
  const right = (tail ?? '').split(':').filter(Boolean)
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  const groups = [...left, ...Array<string>(Math.max(0, zeros)).fill('0'), ...right]
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
