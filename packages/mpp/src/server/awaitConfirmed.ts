import { SessionKey, Voucher } from '@drain/core'
import { type Asker, networkOf, type Refusal, type SchemeContext } from '@drain/provider'

export type OpenPatienceInput = {
  /**
   * How long a request that brings a new channel waits for its opening to be confirmed, in milliseconds; it is refused after
   * that, and may come again. Default 15,000. Of one address 16 wait, of all 256: those beyond are refused at once.
   */
  openPatienceMs?: number | undefined
}

const defaultPatienceMs = 15_000
/** About as often as the chain is asked about a channel that isn't there yet. */
const pollMs = 500
/** How many requests are held at a time: whoever invents them must not hold a server's connections. */
const most = { each: 16, together: 256 }

/** A paywall will do. */
type Context = Pick<SchemeContext, 'lookUp' | 'domainSeparator' | 'secp256k1'>

/**
 * Waits for a channel whose opening is mined, and not deep enough yet; for no other. The chain is asked only about channels for
 * which somebody has signed something. Resolves to why the voucher can pay on no channel, if so.
 */
export type AwaitConfirmed = (voucher: Voucher.Voucher, asker?: Asker) => Promise<Refusal | undefined>

export function createAwaitConfirmed(
  { lookUp, domainSeparator, secp256k1 }: Context,
  { openPatienceMs = defaultPatienceMs }: OpenPatienceInput,
): AwaitConfirmed {
  const takePlace = createPlaces()

  return async (voucher, { remoteAddress } = {}) => {
    const digest = Voucher.digest(voucher, domainSeparator)
    if (!SessionKey.recover(digest, voucher.signature, secp256k1)) return { rejection: notSigned }
    const { channelId } = voucher
    const isPassing = async () => {
      const found = await lookUp(channelId, remoteAddress)
      return 'rejection' in found && found.rejection.isPassing === true
    }
    if (!(await isPassing())) return undefined
    const leave = takePlace(remoteAddress)
    try {
      const end = performance.now() + openPatienceMs
      while (leave && performance.now() + pollMs <= end) {
        await new Promise((resolve) => setTimeout(resolve, pollMs))
        if (!(await isPassing())) break
      }
    } finally {
      leave?.()
    }
    return undefined
  }
}

const notSigned = {
  code: 'invalid_signature',
  message: 'The voucher is not signed for this chain and contract.',
} as const

/** Gives leave to be held, to be given back; `undefined` where too many are. */
function createPlaces(): (remoteAddress: string | undefined) => (() => void) | undefined {
  const held = new Map<string, number>()
  let together = 0
  return (remoteAddress) => {
    const network = remoteAddress === undefined ? undefined : networkOf(remoteAddress)
    const own = network === undefined ? 0 : (held.get(network) ?? 0)
    if (together >= most.together || own >= most.each) return undefined
    together += 1
    if (network !== undefined) held.set(network, own + 1)
    return () => {
      together -= 1
      if (network === undefined) return
      const left = (held.get(network) ?? 1) - 1
      if (left > 0) held.set(network, left)
      else held.delete(network)
    }
  }
}
