/**
 * Spans of time as people write them: `500ms`, `30s`, `1h30m`, `2d`. A bare number is refused, because half of those
 * who write one mean seconds and the other half milliseconds; 0 is the same in every unit.
 */

const unitsMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const

type Unit = keyof typeof unitsMs

/** In milliseconds, perhaps with a fraction. The problem is in words for whoever typed the text. */
export function parseDuration(text: string): number | { readonly problem: string } {
  const trimmed = text.trim()
  if (/^0+$/.test(trimmed)) return 0
  if (/^[\d.]+$/.test(trimmed)) return { problem: `has no unit; write ${trimmed}s or ${trimmed}ms` }
  // "ms" first, or "m" would take its first letter.
  const parts = [...trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)]
  const isWhole = parts.map(([part]) => part).join("") === trimmed && parts.length > 0
  if (!isWhole) return { problem: "not a duration; write 500ms, 30s, 1h30m or 2d" }
  let totalMs = 0
  let smallestMs = Infinity
  for (const [, amount, name] of parts) {
    const unitMs = unitsMs[name as Unit] // the pattern lets no other name pass
    if (unitMs >= smallestMs) return { problem: "units go from large to small, each once: 1h30m" }
    smallestMs = unitMs
    totalMs += Number(amount) * unitMs
  }
  return totalMs
}

/** The shortest exact text, to the millisecond; `parseDuration` reads it back. */
export function formatDuration(ms: number): string {
  let leftMs = Math.round(ms)
  let text = ""
  for (const [name, unitMs] of Object.entries(unitsMs)) {
    const amount = Math.floor(leftMs / unitMs)
    if (amount > 0) text += `${amount}${name}`
    leftMs -= amount * unitMs
  }
  return text === "" ? "0s" : text
}
