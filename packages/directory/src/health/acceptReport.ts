/** Reports of probers, which sign them. */
import { DirectoryAction } from '@drain/core'
import type { Hex, LocalAccount } from 'viem'
import { notFound, Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { freshFor, readSigner } from '../signing/readAction.ts'
import { recordProbe } from './recordProbe.ts'
import { believedProbers, type Finding, updateHealth } from './updateHealth.ts'

/** What is signed: the action `probe.report`, whose subject is the provider's id. */
export type ReportBody = {
  providerId: string
  reached: boolean
  correct: boolean
  latencyMs: number | null
  /** Unix milliseconds. */
  at: number
  /** In whose EIP-712 domain it was signed; the directory's first chain by default. */
  chainId?: number | undefined
}
export type SignedReport = ReportBody & { issuedAt: number; signature: Hex }

/** How far a prober's clock may be ahead, in milliseconds. */
const mostAhead = 60_000

const chainOf = ({ settings }: Rooms, chainId?: number) =>
  chainId ?? settings.chains[0]?.deployment.chainId ?? 1

/**
 * Counts a report.
 *
 * @throws {Problem} 401 for a signature that is wrong, 403 for a prober that isn't believed, 404 for a provider that isn't on the
 * list, 400 for what can't be, 409 for one that was counted already.
 */
export async function acceptReport(rooms: Rooms, signed: SignedReport, finding?: Finding): Promise<void> {
  const { issuedAt, signature, ...body } = signed
  const { providerId: subject, at } = body
  const now = rooms.now()
  const proof = {
    origin: rooms.settings.origin,
    action: 'probe.report',
    subject,
    body,
    issuedAt,
    signature,
    now,
  }
  const signer = await readSigner({ ...proof, chainId: chainOf(rooms, body.chainId) })
  const prober = signer.toLowerCase()
  if (!believedProbers(rooms).includes(prober)) {
    throw new Problem(403, 'not_prober', `Reports of ${signer} are not believed here.`, {
      action: 'Ask the operator to add it to the probers.',
    })
  }
  if (at > now + mostAhead || at < now - freshFor) {
    throw new Problem(400, 'report_time', 'The report is not of these ten minutes.', {
      action: `Send it soon, with Unix milliseconds: here it is ${now}.`,
    })
  }
  if (body.correct && !body.reached)
    throw new Problem(400, 'report_impossible', 'What was not reached can’t have answered correctly.')
  const recorded = await recordProbe(rooms.database, { ...body, prober })
  if (recorded === 'unlisted') throw notFound('provider with this id on the list')
  if (recorded === 'late') {
    throw new Problem(
      409,
      'report_used',
      'A report of this prober that is as late or later is there already.',
    )
  }
  await updateHealth(rooms, subject, finding)
}

/** Signs a report as {@link acceptReport} wants it. */
export async function signReport(
  rooms: Rooms,
  prober: LocalAccount,
  report: Omit<ReportBody, 'chainId'>,
): Promise<SignedReport> {
  const chainId = chainOf(rooms)
  const body = { ...report, chainId }
  const issuedAt = rooms.now()
  const action = {
    ...{ directory: rooms.settings.origin, action: 'probe.report', subject: report.providerId, body },
    issuedAt: BigInt(issuedAt),
  }
  const signature = await prober.signTypedData(DirectoryAction.typedData(action, { chainId }))
  return { ...body, issuedAt, signature }
}
