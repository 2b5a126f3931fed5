/** The connection test's result, check by check. */
import { html } from 'hono/html'
import type { Check } from '../../Provider.ts'
import type { Html } from '../Page.ts'
import { shown } from './shown.ts'
import { latency } from './time.ts'

export function checkList(checks: readonly Check[]): Html {
  return html`<ol class="check-list">${checks.map(
    ({ name, passed, detail, latencyMs }) =>
      html`<li class="${passed ? 'passed' : 'failed'}"><strong>${passed ? 'Passed' : 'Failed'}</strong> ${shown(name, 60)}: <bdi>${shown(detail, 400)}</bdi>${latencyMs !== undefined && html` (${latency(latencyMs)})`}</li>`,
  )}</ol>`
}
