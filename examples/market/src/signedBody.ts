/** What a wallet signs to change something in a directory. */
import { DirectoryAction } from '@drain/core'
import type { LocalAccount } from 'viem'

/** A body with the two fields that make it the signer's own. */
export async function signedBody<body extends object>(
  account: Pick<LocalAccount, 'signTypedData'>,
  { directory, action, subject, chainId, body }: Subject & { chainId: number; body: body },
): Promise<body & { chainId: number; issuedAt: number; signature: string }> {
  const issuedAt = Date.now()
  const sent = { ...body, chainId }
  const signed = { directory, action, subject, body: sent, issuedAt: BigInt(issuedAt) }
  const signature = await account.signTypedData(DirectoryAction.typedData(signed, { chainId }))
  return { ...sent, issuedAt, signature }
}

export type Subject = {
  /** Its origin. */
  directory: string
  action: string
  subject: string
}
