import { Pricing, Usdc } from '@drain/core'
import type { Paywall } from './Paywall.ts'

/** `GET /v1/docs`: enough for an agent that knows nothing else to pay and use this service. */
export function documentation(paywall: Paywall, origin: string): string {
  const { config, deployment, provider, relay, terms } = paywall
  const models = Object.entries(config.models ?? {}).map(([id, pricing]) => {
    const { inputPer1kTokens, outputPer1kTokens, type, unit } = Pricing.toJson(pricing)
    const price =
      type === 'tokens'
        ? `${inputPer1kTokens} USDC per 1,000 input tokens, ${outputPer1kTokens} USDC per 1,000 output tokens`
        : `${inputPer1kTokens} USDC per ${type === 'flat' ? 'request' : unit}`
    return `- ${id}: ${price}`
  })
  return `${config.name ?? 'DRAIN provider'}

Paid requests on this server cost USDC, paid through a DRAIN payment channel. No account, no API key.

1. Open a channel: approve USDC (${deployment.token}) to the contract ${deployment.contract} on chain
   ${deployment.chainId}, then call open(provider, amount, duration) with provider ${provider},
   amount in base units (1000000 = 1 USDC, at least ${Usdc.format(terms.minDeposit)} USDC) and duration in seconds
   (recommended ${terms.recommendedDuration}). The ChannelOpened event carries the channelId.
2. Pay each request with a header
   X-DRAIN-Voucher: {"channelId":"0x…","amount":"<base units>","nonce":"<number>","signature":"0x…"}
   amount is cumulative: everything authorized on the channel so far plus the price of this request, as a decimal string.
   nonce rises with every voucher. signature is EIP-712 over Voucher(bytes32 channelId,uint256 amount,uint256 nonce) in
   the domain name "DrainChannel", version "1", chainId ${deployment.chainId}, verifyingContract ${deployment.contract}
   (${origin}/v1/signing has it as JSON).
3. The answer's headers tell X-DRAIN-Cost, X-DRAIN-Total (charged so far) and X-DRAIN-Remaining in base units. A request
   without enough authorized is answered 402; X-DRAIN-Required is its price, X-Payment-Required the amount to sign.
   A stream that has used up its vouchers sends "event: payment-need-voucher" with requiredCumulative; POST a voucher of that
   amount as JSON to ${origin}/v1/vouchers, and it goes on. It ends with "event: payment-receipt".
   Send an Idempotency-Key with a request, and after a lost answer the same request with the same key and a valid voucher
   gets that answer again, for nothing. With another body the key is refused (422); while the first one runs, 409.
4. Close when done: POST ${origin}/v1/close-channel {"channelId","deadline","signature"}, signed as
   ChannelRequest(bytes32 channelId,string action,uint256 deadline) with action "close" and a deadline at most five
   minutes ahead (Unix seconds, as a decimal string). The rest of the deposit comes back to the consumer.

${relay ? openDocs(relay.terms.minDeposit, origin) : ''}The SDK does all of this: npm install @drain-protocol/sdk viem
   const { fetch } = createDrainClient({ account, chainId: ${deployment.chainId}, limits: { perRequest: '0.05', perChannel: '5' } })

${models.length > 0 ? `Prices (${origin}/v1/pricing as JSON):\n${models.join('\n')}\n` : ''}${config.docs ? `\n${config.docs}\n` : ''}`
}

function openDocs(minDeposit: string, origin: string): string {
  return `Without gas, step 1 is a signature: sign the token's ReceiveWithAuthorization(address from,address to,uint256 value,uint256
validAfter,uint256 validBefore,bytes32 nonce) with from = you, to = the contract, value = amount, validBefore at most ten
minutes ahead (Unix seconds) and nonce = the EIP-712 hash of Opening(address consumer,address provider,uint256 amount,uint256
duration,address signer,bytes32 salt); then POST ${origin}/v1/open {"consumer","provider","amount","duration","signer","salt",
"validAfter","validBefore","signature"}, all strings; signer is the zero address or a session key, salt 32 random bytes, amount at
least ${minDeposit} USDC. The answer carries the channelId. Before you sign another one, look for this channel.

`
}
