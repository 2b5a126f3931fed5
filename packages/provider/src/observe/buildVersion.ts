declare const __DRAIN_PROVIDER_VERSION__: string | undefined

/** The version of this package, as the build writes it in. */
export const buildVersion: string =
  typeof __DRAIN_PROVIDER_VERSION__ === 'string' ? __DRAIN_PROVIDER_VERSION__ : 'source'
