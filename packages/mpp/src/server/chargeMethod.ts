/** `evm`/`charge` for mppx's own server, cashed by the paywall's account through its journal. */
import { DrainError, InvalidFormatError } from '@drain/core'
import { PaymentFailedError, type Paywall } from '@drain/provider'
import { evm } from 'mppx/server'
import type { Hex } from 'viem'
import { fromPayload } from '../authorization.ts'
import { knownUsdc, usdcDecimals } from '../usdc.ts'
import { type ChargeInput, createCharges } from './charges.ts'
import { RefusedError } from './RefusedError.ts'

export type ChargeMethodInput = ChargeInput & {
  paywall: Paywall
  /** The token's EIP-712 domain, for tokens other than USDC on Polygon and Amoy. It is compared with the token's own. */
  tokenDomain?: { name: string; version: string } | undefined
}

/**
 * mppx's method for `Mppx.create({ methods: [charge({ paywall, nativePrice: '0.25' })] })`, in the paywall's USDC and to its account.
 * A credential is taken once, whichever process it comes to.
 *
 * Trap: mppx settles before the application works, so a request is paid when its credential comes, and is not given back when the
 * application fails. The paywall's own adapters settle after the work: use `schemes: [evmCharge()]` there.
 *
 * @example
 * ```ts
 * const mppx = Mppx.create({ methods: [charge({ paywall, nativePrice: '0.25' })], secretKey })
 * const result = await mppx.evm.charge({ amount: '0.01' })(request)
 * ```
 * @throws {DrainError} `token_domain`, `invalid_limit`, `key_elsewhere`
 * @throws {InvalidAmountError}
 */
export function charge({ paywall, tokenDomain, ...input }: ChargeMethodInput): ReturnType<typeof evm.charge> {
  const { deployment, provider, config, settler, client, ledger, secp256k1, logger, metrics } = paywall
  const { chainId, token } = deployment
  const named = tokenDomain ?? knownUsdc(chainId, token)
  if (!named) {
    throw new DrainError(
      'token_domain',
      `The domain of the token ${token} on chain ${chainId} is not known.`,
      {
        action: 'Pass tokenDomain: the name and version that the token itself has.',
      },
    )
  }
  const { name, version } = named
  const { clock = Date.now } = config
  const channels = { now: paywall.now }
  const context = {
    deployment,
    provider,
    account: typeof config.account === 'string' ? undefined : config.account,
    client,
    ledger,
    secp256k1,
    clock,
    logger,
    metrics,
    channels,
  }
  const { transactions, charges: book } = settler
  const charges = createCharges({ ...context, transactions, charges: book }, input)

  async function take(payload: unknown, quote: bigint): Promise<Hex> {
    await charges.ready()
    if (charges.domain?.name !== name || charges.domain.version !== version) {
      throw new DrainError('token_domain', `The token ${token} does not call itself ${name}, ${version}.`)
    }
    let txHash: Hex | undefined
    const begun = await charges.begin(fromPayload(payload), { quote }, (settled) => {
      txHash = settled.txHash
    })
    if (!begun.ok) throw new RefusedError('rejection' in begun ? begun.rejection : unavailable)
    await begun.funds.capture(quote, {})
    if (!txHash) throw new RefusedError(unavailable)
    return txHash
  }

  const method = evm.charge({
    ...{ currency: token, chainId, decimals: usdcDecimals, recipient: provider },
    authorization: { name, version },
    async settle({ payload, request }) {
      try {
        return { reference: await take(payload, BigInt(request.amount)) }
      } catch (error) {
        if (error instanceof PaymentFailedError) throw new RefusedError(error.rejection)
        if (!(error instanceof InvalidFormatError)) throw error
        throw new RefusedError({ code: 'invalid_voucher_format', message: error.message })
      }
    },
  })
  // Its own would take x402 too: payments that answer no challenge.
  return { ...method, transport: undefined }
}

const unavailable = { code: 'unavailable', message: 'The charge cannot be settled at the moment.' } as const
