/** Brings a provider into a directory. */
import type { LocalAccount } from 'viem'
import { signedBody } from './signedBody.ts'

/** What a directory is told of a provider; see `POST /api/directory/providers`. */
export type Listing = {
  name: string
  description: string
  apiUrl: string
  category: string
  website: string
  logoUrl: string
  docsUrl: string
  contactEmail: string
  streaming?: boolean
}

export type Check = { name: string; passed: boolean; detail: string }

/** Registers one, signed by the account that it is paid on. @throws Error that says what the directory refuses, and why. */
export async function registerProvider({
  directory,
  account,
  chainId,
  listing,
}: {
  /** Its origin. */
  directory: string
  account: LocalAccount
  chainId: number
  listing: Listing
}): Promise<{ id: string; state: string; checks: Check[] }> {
  const about = { directory, action: 'provider.register', subject: listing.apiUrl, chainId }
  const body = await signedBody(account, { ...about, body: { ...listing, providerAddress: account.address } })
  return post(`${directory}/api/directory/providers`, body)
}

/** Approves one that waits for it. */
export function approveProvider(directory: string, id: string, token: string): Promise<{ done: string }> {
  return post(`${directory}/api/operators/decisions`, { action: 'approve', id }, token)
}

/** @throws Error with the directory's own words. */
export async function post<answer>(url: string, body: object, token?: string): Promise<answer> {
  const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  const answer = await response.json()
  if (response.ok) return answer
  const failed = (answer.checks ?? []).filter(({ passed }: Check) => !passed)
  const reasons = failed.map(({ name, detail }: Check) => `\n  ${name}: ${detail}`).join('')
  throw new Error(`${url} answers ${response.status}: ${answer.title} ${answer.action ?? ''}${reasons}`)
}
