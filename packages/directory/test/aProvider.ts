/** A provider with everything that it takes to be listed. */
import { noHealth, noOffer, noScore, type ProviderRecord } from '../src/Provider.ts'

export function aProvider(changes: Partial<ProviderRecord> = {}): Omit<ProviderRecord, 'revision'> {
  const { revision: _revision, ...given } = changes
  return {
    id: 'one',
    apiUrl: 'https://one.example',
    protocol: 'drain',
    owner: '0x97439450fad8449dd81a6eb79fc98c393dbdec58',
    chainId: 31337,
    state: 'approved',
    tier: 'community',
    profile: {
      name: 'One',
      description: 'The first one.',
      contactEmail: 'one@one.example',
      website: 'https://one.example/',
      logoUrl: 'https://one.example/logo.svg',
      docsUrl: 'https://one.example/docs',
      category: 'llm',
      moreCategories: [],
      streaming: true,
      minDuration: null,
      maxDuration: null,
      mppEndpoint: null,
      mppType: null,
      hotkey: null,
    },
    offer: {
      ...noOffer,
      providerAddress: '0x97439450fad8449dd81a6eb79fc98c393dbdec58',
      chainId: 31337,
      models: [{ id: 'small', name: 'Small', inputPer1kTokens: '0.001', outputPer1kTokens: '0.002' }],
    },
    health: { ...noHealth, status: 'online', lastChecked: 1_000, latencyMs: 20 },
    ...noScore,
    review: { checks: [], testedAt: null, note: '' },
    signedAt: 1_000,
    createdAt: 1_000,
    nextProbeAt: 0,
    ...given,
  }
}
