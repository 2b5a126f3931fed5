import { Channel as ChannelModule, Voucher as VoucherModule } from '@drain/core'

export * from '@drain/consumer'
export {
  ChannelGoneError,
  ChannelNotFoundError,
  ChannelRequest,
  CloseAuthorization,
  ContractError,
  Deployment,
  DirectoryAction,
  Domain,
  DrainError,
  Duration,
  drainChannelAbi,
  FeatureUnavailableError,
  GaslessOpen,
  Headers,
  InsufficientAllowanceError,
  InsufficientBalanceError,
  InvalidAmountError,
  InvalidDurationError,
  InvalidFormatError,
  InvalidRequestError,
  LimitExceededError,
  PaymentRejectedError,
  PaymentUnknownError,
  Pricing,
  Quote,
  Rejection,
  SessionKey,
  Signature,
  TransactionRevertedError,
  UnknownDeploymentError,
  UntrustedProviderError,
  Usdc,
} from '@drain/core'
export * from '@drain/provider'
export * from './legacy.ts'

/** A channel as the contract holds it, and functions on channels. */
export type Channel = ChannelModule.Channel
export const Channel: typeof ChannelModule = ChannelModule
/** A signed voucher, and functions on vouchers. */
export type Voucher = VoucherModule.Voucher
export const Voucher: typeof VoucherModule = VoucherModule
