/** Registering, changing and withdrawing providers. */

import { noHealth, noScore, type ProviderRecord, type State } from '../Provider.ts'
import type { ConnectionTest } from '../probe/ConnectionTest.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { verifyHotkeyProof } from './bittensor.ts'
import type { ConnectionTests } from './ConnectionTests.ts'
import { toOffer } from './offerOf.ts'
import { assertOwner, createToken, signerOf } from './ownership.ts'
import { slugOf, toProfile } from './profileSchema.ts'
import type { Change, Registration } from './registrationSchema.ts'

export type Registered = { record: ProviderRecord; test: ConnectionTest; token?: string | undefined }

type Sent<fields> = {
  given: fields
  /** As it came. */
  body: Record<string, unknown>
  token?: string | undefined
}

const mostOfOwner = 20
const mostPending = 2_000

export type Registrations = ReturnType<typeof createRegistrations>

export function createRegistrations(rooms: Rooms, test: ConnectionTests) {
  const { settings, providers, snapshot } = rooms
  const { origin } = settings

  /**
   * Tests a provider and lists it, or puts it into the queue.
   *
   * @throws {Problem} 401, 403, 409, 429, and 422 with the checks where the connection test does not pass.
   */
  async function register({ given, body }: Sent<Registration>): Promise<Registered> {
    const { apiUrl, protocol, providerAddress, chainId } = given
    const isSigned = given.signature !== undefined
    if (protocol === 'drain') assertChannels(given)
    const proof = { origin, action: 'provider.register', subject: apiUrl, body, now: rooms.now() }
    const withoutWallet = protocol === 'mpp' && !isSigned ? createToken() : undefined
    const owner = withoutWallet?.owner ?? (await signerOf({ ...proof, ...given }))
    if (providerAddress && !withoutWallet && owner !== providerAddress.toLowerCase()) {
      throw new Problem(403, 'not_owner', `The signature is not that of ${providerAddress}.`, {
        action: 'Sign with the wallet that is paid.',
      })
    }
    const hotkey = hotkeyOf(given, apiUrl)
    const signedAt = given.issuedAt ?? rooms.now()
    const before = await providers.at(apiUrl)
    if (before?.owner === owner) {
      throw new Problem(409, 'already_registered', `It is registered as ${before.id}.`, {
        action: `Change it with PUT /api/directory/providers/${before.id}.`,
        details: { id: before.id, state: before.state },
      })
    }
    await assertRoom(owner)
    const tested = await test({ apiUrl, protocol, providerAddress, ...mppOf(given) })
    assertPassed(tested)
    // Without a wallet nobody can show that it is theirs.
    if (before && withoutWallet) throw taken(apiUrl)
    if (before) await giveWay(before)
    const added = await providers.add({
      ...{ id: slugOf(given.name), apiUrl, protocol, owner, chainId: chainId ?? null, tier: given.tier },
      ...{
        state: firstState(),
        profile: toProfile({ ...given, hotkey }),
        offer: toOffer(tested, providerAddress),
      },
      health: { ...noHealth, status: 'online', lastChecked: rooms.now(), latencyMs: tested.latencyMs },
      ...{ ...noScore, review: reviewOf(tested) },
      ...{ signedAt, createdAt: rooms.now(), nextProbeAt: rooms.now() },
    })
    if (!added) throw taken(apiUrl)
    await snapshot.refresh()
    return { record: added, test: tested, token: withoutWallet?.token }
  }

  /**
   * Changes what an owner says. Another URL or name is tested and looked at again.
   *
   * @throws {Problem} as {@link register}, and 404.
   */
  async function change(id: string, { given, body, token }: Sent<Change>): Promise<Registered> {
    const record = await living(id)
    const proof = { origin, action: 'provider.update', subject: id, body, token, now: rooms.now() }
    const signedAt = await assertOwner(record, { ...proof, ...given })
    const hotkey = hotkeyOf(given, given.apiUrl)
    const { apiUrl } = given
    const other = await providers.at(apiUrl)
    if (other && other.id !== id) throw taken(apiUrl)
    const providerAddress = record.offer.providerAddress ?? undefined
    const tested = await test({ apiUrl, protocol: record.protocol, providerAddress, ...mppOf(given) })
    assertPassed(tested)
    const isOther = apiUrl !== record.apiUrl || given.name !== record.profile.name
    const changed = await providers.update(id, (latest) => {
      // Another change came in between, or an operator's decision.
      if (latest.signedAt >= signedAt || latest.state === 'withdrawn') return undefined
      return {
        ...{ apiUrl, tier: given.tier, profile: toProfile({ ...given, hotkey }), signedAt },
        ...{
          offer: toOffer(tested, providerAddress),
          review: { ...reviewOf(tested), note: latest.review.note },
        },
        state: stateAfter(latest.state, isOther),
        nextProbeAt: rooms.now(),
      }
    })
    if (!changed)
      throw new Problem(409, 'changed_meanwhile', 'It was changed in the meantime.', {
        action: 'Look at it again.',
      })
    await snapshot.refresh()
    return { record: changed, test: tested }
  }

  /** Takes a listing off, for good. @throws {Problem} */
  async function withdraw(
    id: string,
    { given, body, token }: Sent<Parameters<typeof assertOwner>[1] | object>,
  ): Promise<ProviderRecord> {
    const record = await living(id)
    const proof = { origin, action: 'provider.withdraw', subject: id, body, token, now: rooms.now() }
    const signedAt = await assertOwner(record, { ...proof, ...given })
    const changed = await providers.update(id, (latest) =>
      latest.signedAt >= signedAt ? undefined : { state: 'withdrawn', signedAt },
    )
    if (!changed) throw new Problem(409, 'changed_meanwhile', 'It was changed in the meantime.')
    await snapshot.refresh()
    return changed
  }

  return { register, change, withdraw }

  function assertChannels({ chainId, providerAddress }: Registration): void {
    if (!providerAddress)
      throw invalid('providerAddress: it is missing.', 'Name the address that channels pay.')
    const chainIds = settings.chains.map(({ deployment }) => deployment.chainId)
    if (chainId !== undefined && chainIds.includes(chainId)) return
    throw invalid('chainId: it is none of this directory.', `There are ${chainIds.join(', ')}.`)
  }

  function hotkeyOf(
    { tier, hotkey, hotkeySignature }: Pick<Registration, 'tier' | 'hotkey' | 'hotkeySignature'>,
    apiUrl: string,
  ): string | null {
    if (tier !== 'bittensor') return null
    if (hotkey && hotkeySignature && verifyHotkeyProof({ hotkey, apiUrl, signature: hotkeySignature }))
      return hotkey
    throw new Problem(401, 'hotkey_unproven', 'The tier bittensor needs the miner’s signature.', {
      action: `Sign handshake58:${hotkey ?? '{hotkey}'}:${apiUrl} with the hotkey, or register as community.`,
    })
  }

  async function assertRoom(owner: string): Promise<void> {
    const own = (await providers.ofOwner(owner)).filter(
      ({ state }) => state === 'pending' || state === 'approved' || state === 'suspended',
    )
    if (own.length >= mostOfOwner) {
      throw new Problem(409, 'too_many', `${owner} has ${own.length} listings already.`, {
        action: 'Withdraw one first.',
      })
    }
    if ((await providers.count('pending')) >= mostPending) {
      throw new Problem(503, 'queue_full', 'The queue is full.', { action: 'Try again in a day.' })
    }
  }

  /** Whose server names another address now has lost its listing: the test has just read the new one there. */
  async function giveWay(before: ProviderRecord): Promise<void> {
    if (before.protocol === 'mpp' && before.owner.startsWith('0x')) throw taken(before.apiUrl)
    await providers.update(before.id, (latest) => ({
      state: 'withdrawn',
      review: { ...latest.review, note: 'Its server names another owner.' },
    }))
  }

  async function living(id: string): Promise<ProviderRecord> {
    const record = await providers.get(id)
    if (!record || record.state === 'withdrawn') throw notFound(`provider ${JSON.stringify(id)}`)
    return record
  }

  function firstState(): State {
    return settings.review ? 'pending' : 'approved'
  }

  function stateAfter(state: State, isOther: boolean): State {
    if (state === 'suspended') return 'suspended'
    if (state === 'rejected') return firstState()
    return isOther && settings.review ? 'pending' : state
  }

  function reviewOf({ checks }: ConnectionTest): ProviderRecord['review'] {
    return {
      checks: checks.map((check) => ({ ...check, latencyMs: check.latencyMs ?? 0 })),
      testedAt: rooms.now(),
      note: '',
    }
  }
}

function mppOf({ mppEndpoint, mppType, docsUrl }: Pick<Registration, 'mppEndpoint' | 'mppType' | 'docsUrl'>) {
  return { mppEndpoint, mppType, docsUrl: docsUrl || undefined }
}

/** @throws {Problem} */
function assertPassed({ passed, checks }: ConnectionTest): void {
  if (passed) return
  const failed = checks.filter((check) => !check.passed).map(({ name }) => name)
  throw new Problem(
    422,
    'connection_test_failed',
    `The connection test does not pass: ${failed.join(', ')}.`,
    {
      action: 'Mend what the checks say, and send it again.',
      details: { checks },
    },
  )
}

const taken = (apiUrl: string) =>
  new Problem(409, 'url_taken', `${apiUrl} is listed already.`, {
    action: 'If it is yours, sign with the address that its /v1/pricing names, or write to the operator.',
  })
