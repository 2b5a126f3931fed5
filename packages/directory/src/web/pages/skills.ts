/** Skills: recipes over several providers. */
import { html } from 'hono/html'
import type { ProviderRecord } from '../../Provider.ts'
import type { Html, Page } from '../Page.ts'
import type { SkillData, SkillList, SkillSummary } from '../PageData.ts'
import { codeBlock } from '../parts/code.ts'
import { field } from '../parts/fields.ts'
import { pager } from '../parts/pager.ts'
import { name, paragraphs, shown, verbatim } from '../parts/shown.ts'
import { statusMark } from '../parts/status.ts'
import { time } from '../parts/time.ts'

const skillPath = (id: string) => `/skills/${encodeURIComponent(id)}`

export function skillsPage({ skills, total, next }: SkillList, given: URLSearchParams): Page {
  const search = (given.get('search') ?? '').slice(0, 200)
  const asked = new URLSearchParams(search && { search })
  const cursor = given.get('cursor')
  if (cursor) asked.set('cursor', cursor.slice(0, 400))
  return {
    title: 'Skills',
    path: '/skills',
    description: 'Recipes over paid services that an agent follows step by step, with what they cost.',
    alternate: '/api/skills?status=published',
    indexed: asked.size === 0,
    body: html`<h1>Skills</h1>
<p class="intro">A skill is a recipe over paid services. An agent with drain-mcp follows it step by step; the cost is added up from today’s prices.
<a href="/skills/new">Write one</a>.</p>
<form class="filters filters-short" method="get" action="/skills" role="search" aria-label="Skills">
${field('search', 'Search', { type: 'search', value: search, longest: 200 })}
<div class="filters-end"><button type="submit" class="primary">Show</button></div>
</form>
<p class="count" role="status">${total} ${total === 1 ? 'skill' : 'skills'}</p>
${skills.length === 0 ? html`<p class="empty">${search ? 'None fits these words.' : 'None is published yet.'}</p>` : html`<ol class="cards">${skills.map(card)}</ol>`}
${pager('/skills', asked, next)}`,
  }
}

function card({ id, title, summary, tags, author, steps, cost, updatedAt }: SkillSummary): Html {
  return html`<li><article class="card">
<h2><a href="${skillPath(id)}">${name(title)}</a></h2>
<p dir="auto">${shown(summary, 240)}</p>
<p class="tags">${tags.map((tag) => html`<span class="tag">${shown(tag, 30)}</span>`)}</p>
<p class="below">${steps} ${steps === 1 ? 'step' : 'steps'} · about <span class="figure">${shown(cost ?? 'an unknown sum', 40)}</span>${cost !== null && ' USDC'} · by <code>${short(author)}</code> · ${time(updatedAt)}</p>
</article></li>`
}

/** @param providerOf What the directory knows of a step's provider now. */
export function skillPage(
  skill: SkillData,
  providerOf: (id: string) => ProviderRecord | undefined,
  protocol: 'drain' | 'mpp' | undefined,
): Page {
  const { id, title, summary, tags, author, updatedAt, inputs, steps, output, cost, execution, warnings } =
    skill
  const query = protocol ? `?protocol=${protocol}` : ''
  return {
    title: shown(title, 100),
    path: skillPath(id),
    description: shown(summary, 160),
    alternate: `/api/skills/${encodeURIComponent(id)}${query}`,
    scripts: ['copy'],
    body: html`<p class="crumbs"><a href="/skills">Skills</a></p>
<h1>${name(title)}</h1>
${paragraphs(summary, 1_000)}
<p class="tags">${tags.map((tag) => html`<span class="tag">${shown(tag, 30)}</span>`)}<span class="tag">${execution.protocol === 'mixed' ? 'channels and MPP' : execution.protocol === 'mpp' ? 'MPP' : 'DRAIN channels'}</span></p>
<dl class="facts">
<div><dt>Costs about</dt><dd><span class="figure">${shown(cost.total ?? 'not known', 40)}</span>${cost.total !== null && ' USDC'}</dd></div>
<div><dt>Steps</dt><dd class="figure">${steps.length}</dd></div>
<div><dt>Author</dt><dd><code>${short(author)}</code></dd></div>
<div><dt>Changed</dt><dd>${time(updatedAt)}</dd></div>
</dl>
${cost.note && html`<p class="hint">${shown(cost.note, 400)}</p>`}
${warnings.length > 0 && html`<section class="panel panel-warning" aria-labelledby="warnings"><h2 id="warnings">Warnings</h2><ul>${warnings.map((warning) => html`<li>${shown(warning, 400)}</li>`)}</ul></section>`}
<section aria-labelledby="run">
<h2 id="run">Have an agent do it</h2>
<p>Tools: ${execution.toolsNeeded.map((tool, index) => html`${index > 0 && ', '}<code>${shown(tool, 60)}</code>`)}. Paste this into an agent that has <a href="/skill.md">drain-mcp</a>. The author wrote what is in it: read it first.</p>
${codeBlock('Instructions', verbatim(execution.instructions, 40_000))}
</section>
${inputs.length > 0 && inputTable(inputs)}
<section aria-labelledby="steps">
<h2 id="steps">Steps</h2>
<ol class="skill-steps">${steps.map((step) => stepOf(step, providerOf(step.provider)))}</ol>
<p><strong>Result:</strong> ${shown(output, 400)}</p>
</section>`,
  }
}

function inputTable(inputs: SkillData['inputs']): Html {
  return html`<section aria-labelledby="inputs">
<h2 id="inputs">Inputs</h2>
<div class="scroll" role="region" aria-label="Table of inputs" tabindex="0"><table>
<thead><tr><th scope="col">Name</th><th scope="col">Type</th><th scope="col">What it is</th><th scope="col">Example</th></tr></thead>
<tbody>${inputs.map(
    ({ name, type, description, required, example }) =>
      html`<tr><th scope="row"><code>${shown(name, 60)}</code>${!required && html` <span class="optional">optional</span>`}</th><td>${shown(type, 20)}</td><td class="text">${shown(description, 400)}</td><td>${example !== undefined && html`<code>${shown(example, 200)}</code>`}</td></tr>`,
  )}</tbody>
</table></div>
</section>`
}

function stepOf(step: SkillData['steps'][number], record: ProviderRecord | undefined): Html {
  const { id, title, provider, model, protocol, request, output, cost } = step
  return html`<li>
<h3>${name(title)} <code class="below-inline">${shown(id, 60)}</code></h3>
<p>${record ? html`<a href="/providers/${encodeURIComponent(provider)}">${name(record.profile.name)}</a> ${statusMark(record.health.status)}` : html`<code>${shown(provider, 100)}</code> <span class="status status-offline"><span class="dot" aria-hidden="true"></span>Not in this directory</span>`}
<span class="below-inline">${model && html`${name(model)}, `}${protocol === 'mpp' ? 'MPP' : 'DRAIN'}, ${cost === null ? 'price not known' : `about ${shown(cost, 40)} USDC`}</span></p>
<details><summary>What is sent</summary><pre tabindex="0" role="region" aria-label="Request of step ${shown(id, 60)}"><code>${verbatim(request, 8_000)}</code></pre></details>
<p class="hint">Gives: ${shown(output, 300)}</p>
</li>`
}

function short(address: string): string {
  const plain = shown(address, 60)
  return plain.length > 16 ? `${plain.slice(0, 6)}…${plain.slice(-4)}` : plain
}
