import { DrainError } from '@drain/core'
import type { Address } from 'viem'

/** How long a signature may take: of a key that is kept elsewhere. */
const signingMs = 30_000

/** A signer that doesn't answer must not keep everything waiting. @throws {DrainError} `signer_timeout` */
export async function signInTime<result>(address: Address, signing: () => Promise<result>): Promise<result> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const tooLong = new Promise<never>((_, reject) => {
    const message = `The account ${address} has not signed within ${signingMs / 1_000} s.`
    const fail = () => reject(new DrainError('signer_timeout', message, { action: 'Look after its key.' }))
    timer = setTimeout(fail, signingMs)
  })
  try {
    return await Promise.race([signing(), tooLong])
  } finally {
    clearTimeout(timer)
  }
}
