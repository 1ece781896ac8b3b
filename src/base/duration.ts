/** Spans of time as people write them: `30s`, `1.5h`, `2d 12h`, `250ms`. Milliseconds inside. */

const unitsMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const

const part = /(\d+(?:\.\d+)?)\s*(ms|[dhms])/y

/** In whole milliseconds; undefined: not a duration. Nor is a bare number: half of its readers would take it for seconds. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim()
  let sumMs = 0
  let at = 0
  while (at < trimmed.length) {
    part.lastIndex = at
    const found = part.exec(trimmed)
    const unit = found?.[2]
    if (!found || !isUnit(unit)) return undefined
    sumMs += Number(found[1]) * unitsMs[unit]
    at = part.lastIndex
    while (trimmed[at] === " ") at++
  }
  return at === 0 || !Number.isSafeInteger(Math.round(sumMs)) ? undefined : Math.round(sumMs)
}

/** The two largest units that say anything: `59m 58s`, `1.5s`, `12ms`. Rounded down, so that no time is promised. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.floor(ms)}ms`
  if (ms < 60_000) return `${Math.floor(ms / 100) / 10}s`
  if (ms < unitsMs.h) return pair(ms, "m", "s")
  if (ms < unitsMs.d) return pair(ms, "h", "m")
  return pair(ms, "d", "h")
}

type Unit = keyof typeof unitsMs

function pair(ms: number, large: Unit, small: Unit): string {
  const whole = Math.floor(ms / unitsMs[large])
  const rest = Math.floor((ms % unitsMs[large]) / unitsMs[small])
  return rest === 0 ? `${whole}${large}` : `${whole}${large} ${rest}${small}`
}

function isUnit(text: string | undefined): text is Unit {
  return text !== undefined && Object.hasOwn(unitsMs, text)
}
