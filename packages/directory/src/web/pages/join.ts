/** What an invitation gives, and the form that takes it.  */
import { html } from 'hono/html'
import type { Page } from '../Page.ts'
import type { InviteData } from '../PageData.ts'
import { field } from '../parts/fields.ts'
import { shown } from '../parts/shown.ts'
import { time } from '../parts/time.ts'

/** @param outcome What came of sending the form. */
export function joinPage(
  code: string,
  invite: InviteData,
  outcome?: { said: string; failed: boolean },
): Page {
  const path = `/join/${encodeURIComponent(code)}`
  // The address itself is worth money: no cache, no search engine, no referrer (same-origin, by the policy of all pages).
  const frame = { path, title: 'Your invitation', isPrivate: true, indexed: false }
  const said =
    outcome &&
    html`<p class="notice${outcome.failed && ' problem'}" role="${outcome.failed ? 'alert' : 'status'}">${shown(outcome.said, 400)}</p>`
  if (invite.state === 'gone') {
    return {
      ...frame,
      status: outcome && !outcome.failed ? 200 : 404,
      body: html`<h1>Your invitation</h1>
${said || html`<p class="intro">This invitation can’t be used: it is unknown, used already, or over. Ask whoever gave it to you for another one.</p>`}
<p><a href="/">See who is here</a></p>`,
    }
  }
  const { usdc, gas, coin, network, expiresAt } = invite
  return {
    ...frame,
    ...(outcome?.failed && { status: 400 }),
    body: html`<h1>Your invitation</h1>
<p class="intro">Somebody gives you a start: enough to pay for your first requests.</p>
<dl class="facts">
<div><dt>To spend</dt><dd class="figure">${shown(usdc, 40)} USDC</dd></div>
<div><dt>For transaction fees</dt><dd class="figure">${shown(gas, 40)} ${shown(coin, 12)}</dd></div>
<div><dt>On</dt><dd>${shown(network, 60)}</dd></div>
<div><dt>Until</dt><dd>${time(expiresAt)}</dd></div>
</dl>
${said}
<form id="join" class="stack panel" method="post" action="${path}">
${field('address', 'Where to send it', { required: true, longest: 42, placeholder: '0x…', hint: 'An address that you have the key of. It can’t be changed afterwards.', autocomplete: 'off' })}
<p><button type="submit" class="primary">Send it to me</button></p>
</form>
<p class="hint">No wallet yet? <code>npx -y drain-mcp init</code> makes one for an agent, and prints its address.</p>`,
  }
}
