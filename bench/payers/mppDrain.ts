import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import type { LocalChain } from '@drain/consumer/testing'
import { type Challenge, parseChallenges, serializeCredential } from '@drain/mpp'
import { path } from '../servers/Server.ts'
import { createDrainPayer } from './drain.ts'
import type { Payer } from './Payer.ts'

/** Pays from channels as {@link createDrainPayer} does, by credentials of MPP: the server's own challenge, and a voucher. */
export async function createMppDrainPayer(
  chain: LocalChain,
  port: number,
  channels: number,
): Promise<Payer & { refresh(): Promise<void> }> {
  let challenge = await askForChallenge(port)
  const payer = await createDrainPayer(
    chain,
    channels,
    ({ channelId, amount, nonce, signature }) =>
      `Authorization: ${serializeCredential({
        challenge,
        payload: {
          action: 'voucher',
          channelId,
          cumulativeAmount: `${amount}`,
          nonce: `${nonce}`,
          signature,
        },
      })}`,
  )
  return {
    ...payer,
    /** Takes a fresh challenge: each is good for five minutes. */
    async refresh() {
      challenge = await askForChallenge(port)
    },
  }
}

/** Asked as those who pay ask, without the port in `Host`: a challenge is good for one host only. */
async function askForChallenge(port: number): Promise<Challenge> {
  const asked = get({ host: '127.0.0.1', port, path, headers: { Host: '127.0.0.1' } })
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  response.resume()
  const [challenge] = parseChallenges(response.headers['www-authenticate'] ?? null)
  if (challenge?.method !== 'drain') throw new Error('The server does not offer drain/session.')
  return challenge
}
