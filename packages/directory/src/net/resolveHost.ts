import { Resolver } from 'node:dns/promises'

/** What a name stands for: IP addresses of both kinds. None where it doesn't exist. */
export type ResolveHost = (host: string, timeoutMs: number) => Promise<readonly string[]>

/** The addresses of this machine as `localhost`. */
const local = ['127.0.0.1', '::1']

/**
 * A resolver that asks the name servers themselves: not the system's list of hosts, whose names nobody outside has, and not its few threads for
 * lookups, all of which slow name servers of strangers could keep.
 *
 * What it returns throws when they don't answer within `timeoutMs`.
 *
 * @param servers Addresses of name servers, with a port or not; the system's by default.
 */
export function createResolveHost(servers?: readonly string[]): ResolveHost {
  return async (host, timeoutMs) => {
    if (host === 'localhost') return local
    const resolver = new Resolver({ timeout: Math.max(500, Math.floor(timeoutMs / 3)), tries: 2 })
    if (servers) resolver.setServers(servers)
    return ask(resolver, host, timeoutMs)
  }
}

async function ask(resolver: Resolver, host: string, timeoutMs: number): Promise<readonly string[]> {
  const timer = setTimeout(() => resolver.cancel(), timeoutMs)
  try {
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    const failure = answers.find((answer) => answer.status === 'rejected' && !isNone(answer.reason))
    if (found.length === 0 && failure?.status === 'rejected') throw failure.reason
    return found
  } finally {
    clearTimeout(timer)
  }
}

/** Whether name servers said that there is nothing, rather than nothing. */
function isNone(error: unknown): boolean {
  return /^(?:ENOTFOUND|ENODATA|EBADNAME|NOTFOUND|NODATA)$/.test((error as NodeJS.ErrnoException).code ?? '')
}
