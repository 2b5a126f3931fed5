import { addressScope } from './addressScope.ts'
import { OutwardError } from './OutwardError.ts'
import { isAddress, type OutwardUrl } from './outwardUrl.ts'
import type { ResolveHost } from './resolveHost.ts'

/** As many addresses of a name are tried. */
const most = 8

/**
 * The addresses of a host: looked up once, and all of them where they should be. Connections go to these and to no others,
 * whatever the name stands for a moment later.
 *
 * @throws {OutwardError} `address_refused`, `timeout`
 */
export async function checkedAddresses(
  { host, isLoopback }: OutwardUrl,
  options: { allowLoopback: boolean; resolve: ResolveHost; timeoutMs: number },
): Promise<readonly string[]> {
  const { allowLoopback, resolve, timeoutMs } = options
  const wanted = isLoopback && allowLoopback ? 'loopback' : 'public'
  const addresses = isAddress(host) ? [host] : await lookedUp(host, resolve, timeoutMs)
  if (addresses.length === 0 || addresses.some((address) => addressScope(address) !== wanted)) {
    throw new OutwardError(
      'address_refused',
      `${host.slice(0, 100)} does not lead to the public internet.`,
      'Check the name, and let its DNS records hold public addresses only.',
    )
  }
  return addresses.slice(0, most)
}

async function lookedUp(host: string, resolve: ResolveHost, timeoutMs: number): Promise<readonly string[]> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no name server answered within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([resolve(host, timeoutMs), late])
  } catch (cause) {
    throw new OutwardError(
      'timeout',
      `The name servers of ${host.slice(0, 100)} don’t answer.`,
      'Check its DNS, and test again.',
      cause,
    )
  } finally {
    clearTimeout(timer)
  }
}
