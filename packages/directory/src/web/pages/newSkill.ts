/** Where a skill is written. The script `skillBuilder` puts its form into `#skill-builder`; what is below works without it. */
import { html } from 'hono/html'
import type { Page } from '../Page.ts'
import { codeBlock } from '../parts/code.ts'

export function newSkillPage(origin: string): Page {
  return {
    title: 'Write a skill',
    path: '/skills/new',
    description: 'Put providers together into a recipe that agents follow.',
    scripts: ['skillBuilder', 'copy'],
    indexed: false,
    body: html`<p class="crumbs"><a href="/skills">Skills</a></p>
<h1>Write a skill</h1>
<p class="intro">Steps run in order. A step’s text may use <code>{{inputs.name}}</code> and the output of steps before it, <code>{{steps.id.output}}</code>. Your
wallet signs it, and only that wallet changes it later.</p>
<noscript><p class="notice">Writing here takes JavaScript, and signing takes a wallet in this browser. Without them use the API, as shown below.</p></noscript>
<div id="skill-builder" class="form"></div>
<section aria-labelledby="api">
<h2 id="api">Without this form</h2>
<p>Three calls: check, save, publish. The last two are signed as <a href="/api/drain/signing">/api/drain/signing</a> shows; <a href="/docs/api">the API’s page</a> has every field.</p>
${codeBlock('Check a definition, and see what it would cost', validateCall(origin))}
${codeBlock('Save it, then publish it', saveCall(origin))}
</section>`,
  }
}

function validateCall(origin: string): string {
  return `curl '${origin}/api/skills/validate' \\
  -H 'Content-Type: application/json' \\
  -d '{"definition": {
    "title": "Translate", "summary": "Any text into English.",
    "inputs": [{"name": "text", "type": "string", "description": "What to translate", "required": true}],
    "steps": [{
      "id": "translate", "title": "Translate", "provider": "<id of a provider>", "protocol": "drain",
      "request": {"messages": [{"role": "user", "content": "Translate into English: {{inputs.text}}"}]},
      "output": {"name": "translation", "description": "The text in English"}
    }],
    "output": {"description": "The text in English", "from": "steps.translate.output"}
  }}'`
}

function saveCall(origin: string): string {
  return `curl '${origin}/api/skills' -H 'Content-Type: application/json' \\
  -d '{"definition": {…}, "author": "0x…", "chainId": 137, "issuedAt": 1790000000000, "signature": "0x…"}'
curl '${origin}/api/skills/<id>/publish' -H 'Content-Type: application/json' \\
  -d '{"chainId": 137, "issuedAt": 1790000000000, "signature": "0x…"}'`
}
