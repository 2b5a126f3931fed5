/** Refusals in the words of MPP. */
import type { Rejection } from '@drain/core'
import type { AnswerWriter, Reading } from '@drain/provider'
import type { readCredential } from '../codec/credential.ts'
import { type ProblemName, problemBody, problemHeaders, problemOf, problemType } from '../method/problems.ts'

/** `problem`: where the code alone would say another, or less. */
export type MppRejection = Rejection.Rejection & { readonly problem?: ProblemName | undefined }

/** The answer that tells a refusal. `extra`: members beside, such as `challengeId`. */
export function refusalAnswer(
  rejection: MppRejection,
  extra: Readonly<Record<string, string | undefined>> = {},
): ReturnType<AnswerWriter['refuse']> {
  const { problem, isPassing } = rejection
  // What isn't there yet is not gone.
  const name = problem ?? (isPassing ? 'payment-action-required' : undefined)
  const type = name ? problemType(name) : problemOf(rejection.code)
  return { status: type.status, headers: problemHeaders, body: problemBody(rejection, type, extra) }
}

/** A writer for requests that nothing was paid with. */
export const unpaidWriter: AnswerWriter = {
  hasChannel: false,
  receipt: () => ({}),
  streamReceipt: () => ({}),
  refuse: (rejection) => refusalAnswer(rejection),
}

/** A reading that refuses. */
export function refuseReading(
  rejection: MppRejection,
  writer: AnswerWriter = unpaidWriter,
): Extract<Reading, { ok: false }> {
  return { ok: false, rejection, writer }
}

/** Why a credential can't be read. */
export function refuseUnreadable(
  read: Extract<ReturnType<typeof readCredential>, { ok: false }>,
): Extract<Reading, { ok: false }> {
  const { message } = read
  return read.problem === 'multiple'
    ? refuseReading({ code: 'multiple_payments', message })
    : refuseReading({ code: 'invalid_voucher_format', message, problem: 'malformed-credential' })
}
