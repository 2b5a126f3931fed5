/** What the pages show beside providers, from whichever part keeps it. */

import { readFeedback } from './feedback/keepFeedback.ts'
import { readHistory } from './health/history.ts'
import { believedProbers } from './health/updateHealth.ts'
import type { Rooms } from './Rooms.ts'
import { payeeOf } from './score/listingOf.ts'
import { scoreText } from './score/scoreText.ts'
import { skillPageData } from './skills/skillPageData.ts'
import type { OpenApi, PageData } from './web/PageData.ts'

export function pageData(rooms: Rooms, document: OpenApi): Omit<PageData, 'invite' | 'join'> {
  const { database, snapshot, now } = rooms
  return {
    ...skillPageData(rooms),
    history: (id) => readHistory(database, id, { now: now(), probers: believedProbers(rooms) }),
    async feedback(id) {
      const record = snapshot.get(id)
      return record ? readFeedback(database, id, payeeOf(record)) : []
    },
    scoreText: () => scoreText,
    openApi: () => document,
  }
}
