import { Errors } from 'mppx'
import { type ProblemType, problemOf, problemType } from '../method/problems.ts'
import type { MppRejection } from './refusals.ts'

/** A payment that is refused, as mppx's own methods throw it. */
export class RefusedError extends Errors.PaymentError {
  override readonly name = 'RefusedError'
  override readonly type: string
  override readonly title: string
  override readonly status: number
  constructor(rejection: MppRejection, type: ProblemType = typeOf(rejection)) {
    super(rejection.message, { details: { code: rejection.code } })
    this.type = type.type
    this.title = type.title
    this.status = type.status
  }
}

function typeOf({ code, problem, isPassing }: MppRejection): ProblemType {
  if (problem) return problemType(problem)
  return isPassing ? problemType('payment-action-required') : problemOf(code)
}
