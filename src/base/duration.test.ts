import { deepEqual, equal, match } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { formatDuration, parseDuration } from "./duration.ts"

const readable = [
  { text: "500ms", ms: 500, because: "milliseconds are not minutes and a half" },
  { text: "30s", ms: 30_000, because: "seconds" },
  { text: "5m", ms: 300_000, because: "a lone m is minutes" },
  { text: "1h30m", ms: 5_400_000, because: "units add up" },
  { text: "1m500ms", ms: 60_500, because: "a unit may be left out in between" },
  { text: "2d", ms: 172_800_000, because: "days" },
  { text: "1.5s", ms: 1_500, because: "fractions are fine" },
  { text: " 30s ", ms: 30_000, because: "blanks around it come from scripts" },
  { text: "0", ms: 0, because: "nothing is the same in every unit" },
] as const

for (const { text, ms, because } of readable) {
  test(`"${text}" is ${ms} ms: ${because}`, () => equal(parseDuration(text), ms))
}

const unreadable = [
  { text: "30", problem: /no unit; write 30s or 30ms/, because: "a bare number could mean either" },
  { text: "", problem: /not a duration/, because: "empty is not nothing" },
  { text: "-5s", problem: /not a duration/, because: "time does not run backwards" },
  { text: "5 s", problem: /not a duration/, because: "no blanks inside" },
  { text: "30m1h", problem: /large to small/, because: "a wrong order is more likely a slip" },
  { text: "1s1s", problem: /each once/, because: "twice the same unit as well" },
  { text: "5S", problem: /not a duration/, because: "capitals would make M a month" },
  { text: "s", problem: /not a duration/, because: "a unit alone is no amount" },
  { text: "1e3s", problem: /not a duration/, because: "no exponents" },
] as const

for (const { text, problem, because } of unreadable) {
  test(`"${text}" is refused: ${because}`, () => {
    const parsed = parseDuration(text)
    match(typeof parsed === "object" ? parsed.problem : `read as ${parsed}`, problem)
  })
}

const printed = [
  { ms: 0, text: "0s" },
  { ms: 90_000, text: "1m30s" },
  { ms: 86_400_000, text: "1d" },
  { ms: 1_500.4, text: "1s500ms" },
] as const

for (const { ms, text } of printed) test(`${ms} ms is printed as ${text}`, () => equal(formatDuration(ms), text))

test("what is printed is read back", () => {
  fc.assert(fc.property(fc.nat(2 ** 40), ms => deepEqual(parseDuration(formatDuration(ms)), ms)))
})
