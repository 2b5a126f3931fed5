/** What a machine that watches reads at `/metrics`. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Snapshot } from '../listing/Snapshot.ts'

export type Figures = {
  /** @param route Its pattern, never the URL: there are too many of these. */
  request(route: string, status: number, seconds: number): void
  telemetry(protocol: 'drain' | 'mpp', httpStatus: number): void
  text(): Promise<string>
  type: string
}

export function createFigures(snapshot: Snapshot): Figures {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Histogram({
    name: 'drain_directory_request_seconds',
    help: 'Answers, by route and status.',
    labelNames: ['route', 'status'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers,
  })
  const reported = new Counter({
    name: 'drain_directory_reported_requests_total',
    help: 'Requests to providers that agents reported, by protocol and whether they went well.',
    labelNames: ['protocol', 'ok'],
    registers,
  })
  new Gauge({
    name: 'drain_directory_providers',
    help: 'Providers, by state and status.',
    labelNames: ['state', 'status'],
    registers,
    collect() {
      this.reset()
      for (const { state, health } of snapshot.all()) this.inc({ state, status: health.status })
    },
  })
  return {
    request: (route, status, seconds) => requests.observe({ route, status }, seconds),
    telemetry: (protocol, httpStatus) =>
      reported.inc({ protocol, ok: httpStatus >= 200 && httpStatus < 300 ? 'yes' : 'no' }),
    text: () => registry.metrics(),
    type: registry.contentType,
  }
}
