export {
  type Challenge,
  credentialHeaders,
  decodeRequest,
  encodeRequest,
  parseChallenges,
  serializeChallenge,
} from './codec/challenge.ts'
export { type Credential, readCredential, serializeCredential } from './codec/credential.ts'
export { parseReceipt, type Receipt, receiptHeader, serializeReceipt } from './codec/receipt.ts'
export {
  drainSession,
  type OpenType,
  type SessionPayload,
  type SessionRequest,
  type SessionRequestInput,
} from './method/drainSession.ts'
export type { ProblemName } from './method/problems.ts'
export type { SessionReceipt } from './method/sessionReceipt.ts'
