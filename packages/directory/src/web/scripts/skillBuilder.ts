/** Writes a skill: checked and priced as it is typed, kept through a reload, signed, saved and published. */
import { categories } from '../../Provider.ts'
import type { SkillDefinition } from '../../skills/SkillDefinition.ts'
import { call } from './api.ts'
import { createChecker, type Verdict } from './building/checker.ts'
import {
  type Draft,
  emptyDraft,
  emptyInput,
  emptyStep,
  type Problem,
  toDefinition,
  toDraft,
} from './building/Draft.ts'
import { checkbox, field } from './building/fields.ts'
import { createOffers } from './building/Offers.ts'
import { createRows } from './building/rows.ts'
import { stepFields } from './building/stepFields.ts'
import { createNotices } from './notices.ts'
import { make, makeButton, whereThereIs } from './page.ts'
import { signAction } from './signAction.ts'
import { createWalletStep } from './walletStep.ts'

const key = 'drain-skill-draft'

/** What is written, and which skill it changes, if it isn't a new one. */
type Kept = { draft: Draft; id?: string | undefined }

whereThereIs('skill-builder', (root) => void startBuilder(root))

async function startBuilder(root: HTMLElement): Promise<void> {
  const notices = createNotices(root)
  let kept: Kept = readKept()
  const edited = new URLSearchParams(location.search).get('edit')
  if (edited && kept.id !== edited) {
    await notices.run('Reading the skill …', async () => {
      const skill = await call<{ definition: SkillDefinition }>(
        'GET',
        `/api/skills/${encodeURIComponent(edited)}`,
      )
      kept = { draft: toDraft(skill.definition), id: edited }
    })
  }
  const { draft } = kept
  const offers = createOffers()
  const datalist = make('datalist', { id: 'offers' })
  const problems = make('ul', { id: 'skill-problems', tabindex: '-1', 'aria-label': 'What is still to do' })
  const cost = make('p', { id: 'skill-cost', 'aria-live': 'polite' })
  const outcome = make('div', { id: 'skill-outcome' })
  const checker = createChecker(showVerdict)
  const from = field({
    id: 'output-from',
    label: 'It is the output of',
    in: draft,
    name: 'outputFrom',
    options: [],
  })
  const fromSelect = from.querySelector('select') as HTMLSelectElement

  const inputs = createRows({
    ...{ noun: 'Input', id: 'skill-inputs', least: 0, rows: () => draft.inputs },
    ...{ empty: emptyInput, changed: check, say: notices.progress },
    fields: (input, index) => [
      field({
        id: `inputs-${index}-name`,
        label: 'Name',
        in: input,
        name: 'name',
        hint: 'As {{inputs.name}} has it.',
      }),
      field({ id: `inputs-${index}-description`, label: 'What it is', in: input, name: 'description' }),
      field({
        ...{ id: `inputs-${index}-type`, label: 'Type', in: input, name: 'type' },
        options: ['string', 'number', 'boolean', 'json'].map((type) => [type, type] as const),
      }),
      field({ id: `inputs-${index}-example`, label: 'Example', in: input, name: 'example' }),
      checkbox({ id: `inputs-${index}-required`, label: 'Must be given', in: input, name: 'required' }),
    ],
  })
  const steps = createRows({
    ...{ noun: 'Step', id: 'skill-steps', least: 1, rows: () => draft.steps },
    ...{ empty: emptyStep, changed: check, say: notices.progress },
    fields: (step, index) => stepFields(step, index, offers),
  })

  const form = make(
    'form',
    { id: 'skill-form', novalidate: true },
    make(
      'fieldset',
      {},
      make('legend', {}, 'The skill'),
      make(
        'div',
        { class: 'fields' },
        field({ id: 'title', label: 'Title', in: draft, name: 'title' }),
        field({
          ...{ id: 'category', label: 'Category', in: draft, name: 'category' },
          options: categories.map((one) => [one, one] as const),
        }),
        field({ id: 'summary', label: 'What it is good for', in: draft, name: 'summary', rows: 2 }),
        field({ id: 'tags', label: 'Tags, with commas between', in: draft, name: 'tags' }),
      ),
    ),
    section('Inputs', inputs.element),
    section('Steps', steps.element),
    section(
      'Output',
      make(
        'div',
        { class: 'fields' },
        field({ id: 'output-description', label: 'What comes out', in: draft, name: 'outputDescription' }),
        from,
      ),
    ),
    section('Check, sign and save', cost, problems, wallets(), make('p', { class: 'actions' }, saveButton())),
    datalist,
  )
  root.append(form, outcome)
  const step = createWalletStep(notices)
  inputs.show()
  steps.show()
  check()
  form.addEventListener('input', check)
  form.addEventListener('change', check)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void notices.run('Your wallet asks you to sign …', save)
  })
  const list = await offers.list().catch(() => [])
  datalist.append(...list.map(({ id, name }) => make('option', { value: id }, name)))
  check()

  /** Keeps what stands there now, and has it looked at. */
  function check(): void {
    localStorage.setItem(key, JSON.stringify(kept))
    showOutputs()
    checker.later(toDefinition(draft))
  }

  function showVerdict({ problems: found, words }: Verdict): void {
    for (const field of form.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid')
    problems.replaceChildren(...found.slice(0, 20).map(problemOf))
    cost.textContent = words
  }

  function showOutputs(): void {
    const choices = draft.steps.map(({ id }) => `steps.${id.trim()}.output`)
    const wanted =
      choices.includes(draft.outputFrom) || draft.outputFrom.includes('.output.')
        ? draft.outputFrom
        : choices.at(-1)
    draft.outputFrom = wanted ?? ''
    const all = [...new Set([...choices, draft.outputFrom])]
    fromSelect.replaceChildren(...all.map((one) => make('option', { value: one }, one)))
    fromSelect.value = draft.outputFrom
  }

  async function save(): Promise<void> {
    const { definition, ...read } = toDefinition(draft)
    const { problems: found } = await checker.now({ definition, ...read })
    if (found.length > 0) {
      problems.focus()
      throw new Error('It can’t be saved yet: see what is still to do.')
    }
    const { id } = kept
    const signed = await signAction(step.signer(), {
      action: 'skill.save',
      subject: id ?? draft.title.trim(),
      body: { definition, ...(id === undefined && { author: step.signer().account }) },
    })
    const path = id ? `/api/skills/${encodeURIComponent(id)}` : '/api/skills'
    const saved = await call<{ id: string; status: string }>(id ? 'PUT' : 'POST', path, signed)
    kept = { draft, id: saved.id }
    localStorage.setItem(key, JSON.stringify(kept))
    showSaved(saved)
  }

  function showSaved({ id, status }: { id: string; status: string }): void {
    const title = make(
      'h2',
      { tabindex: '-1' },
      status === 'published' ? 'Saved and published' : 'Saved as a draft',
    )
    const publish = makeButton(
      'Publish',
      () => notices.run('Your wallet asks you to sign …', () => publishSkill(id)),
      {
        class: 'primary',
      },
    )
    outcome.replaceChildren(title, status === 'published' ? linkTo(id) : publish)
    title.focus()
  }

  async function publishSkill(id: string): Promise<void> {
    const signed = await signAction(step.signer(), { action: 'skill.publish', subject: id, body: {} })
    await call('POST', `/api/skills/${encodeURIComponent(id)}/publish`, signed)
    localStorage.removeItem(key)
    const title = make('h2', { tabindex: '-1' }, 'Published')
    outcome.replaceChildren(title, linkTo(id))
    form.remove()
    title.focus()
  }

  function problemOf({ path, message }: Problem): HTMLElement {
    const control = controlOf(path)
    control?.setAttribute('aria-invalid', 'true')
    const words = `${wordsFor(path)}: ${message}`
    return make('li', {}, control ? make('a', { href: `#${control.id}` }, words) : words)
  }

  /** The field that a problem is about, or the nearest around it. */
  function controlOf(path: Problem['path']): HTMLElement | undefined {
    for (let length = path.length; length > 0; length--) {
      const found = document.getElementById(path.slice(0, length).join('-'))
      if (found && form.contains(found)) return found
    }
    return undefined
  }
}

function section(title: string, ...children: HTMLElement[]): HTMLElement {
  return make('section', {}, make('h2', {}, title), ...children)
}

function wallets(): HTMLElement {
  const none = 'No wallet was found in this browser. Install one, then load the page anew.'
  return make('div', { id: 'wallets' }, make('p', {}, none))
}

function saveButton(): HTMLElement {
  return make('button', { type: 'submit', class: 'primary' }, 'Sign and save')
}

function linkTo(id: string): HTMLElement {
  return make('p', {}, make('a', { href: `/skills/${encodeURIComponent(id)}` }, 'See it as others do'))
}

/** `Step 2, request` for `['steps', 1, 'request']`. */
function wordsFor(path: Problem['path']): string {
  const [first = 'It', index, ...rest] = path
  if (typeof index !== 'number') return [first, index].filter((one) => one !== undefined).join(' ')
  const noun = first === 'steps' ? 'Step' : 'Input'
  return [`${noun} ${index + 1}`, ...rest.filter((one) => typeof one === 'string')].join(', ')
}

function readKept(): Kept {
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? '') as Kept
    const { draft } = kept
    if (Array.isArray(draft.inputs) && Array.isArray(draft.steps))
      return { ...kept, draft: { ...emptyDraft(), ...draft } }
  } catch {}
  return { draft: emptyDraft() }
}
