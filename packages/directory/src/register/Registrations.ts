/** Registering, changing and withdrawing providers. */

import { noHealth, noScore, type ProviderRecord, type State } from '../Provider.ts'
import type { ConnectionTest } from '../probe/ConnectionTest.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { hostOf, listingOf } from '../score/listingOf.ts'
import { verifyHotkeyProof } from './bittensor.ts'
import type { ConnectionTests } from './ConnectionTests.ts'
import { payeeIn, toOffer } from './offerOf.ts'
import { assertLater, assertOwner, createToken, signerOf } from './ownership.ts'
import { slugOf, toProfile } from './profileSchema.ts'
import type { Change, Registration } from './registrationSchema.ts'

export type Registered = { record: ProviderRecord; test: ConnectionTest; token?: string | undefined }

type Sent<fields> = {
  given: fields
  /** As it came. */
  body: Record<string, unknown>
  token?: string | undefined
  /** That it came from. */
  network: string
}

const mostOfOwner = 20
/** Names below one domain cost nothing, and neither do wallets: so many of a domain may come in a day. */
const mostOfSite = 50
const day = 86_400_000
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
  async function register({ given, body, network }: Sent<Registration>): Promise<Registered> {
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
    await assertRoom(owner, apiUrl, signedAt)
    const tested = await test({ apiUrl, protocol, providerAddress, ...mppOf(given) }, network)
    assertPassed(tested)
    if (before) await giveWay(before, owner, tested)
    const added = await providers.add({
      ...{ id: slugOf(given.name), apiUrl, protocol, owner, chainId: chainId ?? null, tier: given.tier },
      ...{
        // What an operator took off doesn't come back under another name by itself.
        state: before?.state === 'suspended' ? 'pending' : firstState(),
        profile: toProfile({ ...given, hotkey }),
        offer: toOffer(tested),
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
  async function change(id: string, { given, body, token, network }: Sent<Change>): Promise<Registered> {
    const record = await living(id)
    const proof = { origin, action: 'provider.update', subject: id, body, token, now: rooms.now() }
    const signedAt = await assertOwner(record, { ...proof, ...given })
    const hotkey = hotkeyOf(given, given.apiUrl)
    const { apiUrl } = given
    const other = await providers.at(apiUrl)
    if (other && other.id !== id) throw taken(apiUrl)
    const providerAddress = record.offer.providerAddress ?? undefined
    const target = { apiUrl, protocol: record.protocol, providerAddress, ...mppOf(given) }
    const tested = await test(target, network)
    assertPassed(tested)
    const isOther = apiUrl !== record.apiUrl || given.name !== record.profile.name
    const changed = await providers.update(id, (latest) => {
      // Another change came in between, or an operator's decision.
      if (latest.signedAt >= signedAt || latest.state === 'withdrawn') return undefined
      return {
        ...{ apiUrl, tier: given.tier, profile: toProfile({ ...given, hotkey }), signedAt },
        ...{
          offer: toOffer(tested),
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
    { given, body, token }: Omit<Sent<Parameters<typeof assertOwner>[1] | object>, 'network'>,
  ): Promise<ProviderRecord> {
    const record = await living(id)
    const proof = { origin, action: 'provider.withdraw', subject: id, body, token, now: rooms.now() }
    const signedAt = await assertOwner(record, { ...proof, ...given })
    if (record.state === 'suspended') {
      throw new Problem(409, 'suspended', 'An operator took it off the list: agents don’t see it.', {
        action: 'Write to the operator.',
      })
    }
    const changed = await providers.update(id, (latest) =>
      latest.signedAt >= signedAt || latest.state === 'suspended'
        ? undefined
        : { ...withdrawn(latest), signedAt },
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
      details: {
        fields: [{ field: 'hotkeySignature', problem: 'it is not the hotkey’s for this API URL' }],
      },
    })
  }

  async function assertRoom(owner: string, apiUrl: string, signedAt: number): Promise<void> {
    const all = await providers.ofOwner(owner)
    // One that was withdrawn since doesn't come back by the signature that it came with.
    for (const one of all) if (one.apiUrl === apiUrl) assertLater(one, signedAt)
    const own = all.filter(
      ({ state }) => state === 'pending' || state === 'approved' || state === 'suspended',
    )
    if (own.length >= mostOfOwner) {
      throw new Problem(409, 'too_many', `${owner} has ${own.length} listings already.`, {
        action: 'Withdraw one first.',
      })
    }
    const site = hostOf(apiUrl)
    const since = rooms.now() - day
    const ofSite = [...snapshot.all()].filter(
      (record) => record.createdAt > since && listingOf(record).host === site,
    )
    if (ofSite.length >= mostOfSite) {
      throw new Problem(429, 'too_many_of_site', `${ofSite.length} listings of ${site} came within a day.`, {
        action: 'Try again tomorrow.',
      })
    }
    if ((await providers.count('pending')) >= mostPending) {
      throw new Problem(503, 'queue_full', 'The queue is full.', { action: 'Try again in a day.' })
    }
  }

  /** Whose server names another one as paid now has lost its listing; the test has just read there whom. @throws {Problem} 409 */
  async function giveWay(before: ProviderRecord, owner: string, tested: ConnectionTest): Promise<void> {
    if (payeeIn(tested.offer)?.toLowerCase() !== owner) throw taken(before.apiUrl)
    await providers.update(before.id, (latest) => {
      if (latest.apiUrl !== before.apiUrl || latest.state === 'withdrawn') return undefined
      const { review, ...changes } = withdrawn(latest)
      return { ...changes, review: { ...review, note: 'Its server names another owner.' } }
    })
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

/** What is long about it goes with it: whoever comes and goes all day fills nothing. */
function withdrawn({ offer, review }: ProviderRecord) {
  return {
    state: 'withdrawn',
    offer: { ...offer, models: [], docs: '' },
    review: { ...review, checks: [] },
  } as const satisfies Partial<ProviderRecord>
}

const taken = (apiUrl: string) =>
  new Problem(409, 'url_taken', `${apiUrl} is listed already.`, {
    action: 'If it is yours, sign with the address that it is paid at, or write to the operator.',
    details: { fields: [{ field: 'apiUrl', problem: 'it is listed already' }] },
  })
