import { equal } from "node:assert/strict"
import { test } from "node:test"
import { formatDuration, parseDuration } from "./duration.ts"

const parsed = [
  { text: "250ms", ms: 250, because: "milliseconds are no minutes" },
  { text: "30s", ms: 30_000, because: "seconds" },
  { text: "1.5h", ms: 5_400_000, because: "fractions" },
  { text: "1h30m", ms: 5_400_000, because: "parts add up" },
  { text: " 2d 12h ", ms: 216_000_000, because: "spaces part them" },
  { text: "0s", ms: 0, because: "whether nothing is enough is for the caller to say" },
]
for (const { text, ms, because } of parsed)
  test(`parseDuration(${text}): ${because}`, () => equal(parseDuration(text), ms))

for (const text of ["", "30", "-5s", "s", "5 parsecs", "1h 30", "1e3s", "Infinity", `${"9".repeat(30)}d`, "1,5h"]) {
  test(`parseDuration(${text}) is none`, () => equal(parseDuration(text), undefined))
}

const formatted = [
  { ms: 12.7, text: "12ms" },
  { ms: 1_999, text: "1.9s" },
  { ms: 30_000, text: "30s" },
  { ms: 3_598_000, text: "59m 58s" },
  { ms: 3_600_000, text: "1h" },
  { ms: 90_000_000, text: "1d 1h" },
]
for (const { ms, text } of formatted) test(`formatDuration(${ms}) is ${text}`, () => equal(formatDuration(ms), text))
