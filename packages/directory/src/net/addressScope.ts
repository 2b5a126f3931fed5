/** Which IP addresses belong to everybody: what the IANA's special-purpose registries (RFC 6890) don't keep for something else. */
import { BlockList, isIP } from 'node:net'

/** `inside`: every address that the public internet doesn't route, or that machines and clouds keep for themselves. */
export type AddressScope = 'public' | 'loopback' | 'inside'

const special = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  // Between providers and their customers; one cloud has its metadata there.
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  // Where most clouds have their metadata.
  ['169.254.0.0', 16],
  // Azure's, though the number is a public one.
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
  // Teredo, benchmarks, ORCHID.
  ['2001::', 23],
  ['2001:db8::', 32],
  // 6to4: an IPv4 address in another form.
  ['2002::', 16],
  ['3ffe::', 16],
  ['3fff::', 20],
] as const) {
  special.addSubnet(network, bits, 'ipv6')
}

/** All that is assigned to anybody. Mapped, compatible and translated IPv4 addresses are outside it, and so are local ones. */
const unicast = new BlockList()
unicast.addSubnet('2000::', 3, 'ipv6')

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Where an IP address leads; what is none leads `inside`. */
export function addressScope(address: string): AddressScope {
  // With a zone it is a local one.
  const version = address.includes('%') ? 0 : isIP(address)
  if (version === 0) return 'inside'
  const family = version === 4 ? 'ipv4' : 'ipv6'
  // A mapped address counts as IPv4 to a list, but none is in use on the public internet.
  if (loopback.check(address, family)) return /^(?:127\.|::1$)/.test(address) ? 'loopback' : 'inside'
  if (special.check(address, family)) return 'inside'
  return version === 4 || unicast.check(address, 'ipv6') ? 'public' : 'inside'
}
