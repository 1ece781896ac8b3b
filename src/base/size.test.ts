import { equal, match } from "node:assert/strict"
import { test } from "node:test"
import { formatSize, parseSize } from "./size.ts"

const readable = [
  { text: "512MiB", bytes: 512 * 1024 ** 2, because: "with an i: powers of 1024" },
  { text: "1GB", bytes: 1_000_000_000, because: "with a B alone: powers of 1000" },
  { text: "64k", bytes: 65_536, because: "a letter alone is a power of 1024" },
  { text: "2g", bytes: 2 * 1024 ** 3, because: "as for Docker" },
  { text: "1tib", bytes: 1024 ** 4, because: "case does not matter" },
  { text: "1.5 MiB", bytes: 1_572_864, because: "fractions and blanks are fine" },
  { text: "4096", bytes: 4_096, because: "a bare number is bytes" },
  { text: "100B", bytes: 100, because: "so is one with a B" },
  { text: "0", bytes: 0, because: "whether nothing is enough is for the caller" },
] as const

for (const { text, bytes, because } of readable) {
  test(`"${text}" is ${bytes} bytes: ${because}`, () => equal(parseSize(text), bytes))
}

const unreadable = [
  { text: "", problem: /not a size/, because: "empty is not nothing" },
  { text: "-1GB", problem: /not a size/, because: "nobody has less than none" },
  { text: "1iB", problem: /not a size/, because: "an i belongs to a letter" },
  { text: "10%", problem: /not a size/, because: "shares of the machine are not read here" },
  { text: "1GBit", problem: /not a size/, because: "no bits" },
  { text: "99999999TiB", problem: /more bytes/, because: "beyond what a number can count" },
] as const

for (const { text, problem, because } of unreadable) {
  test(`"${text}" is refused: ${because}`, () => {
    const parsed = parseSize(text)
    match(typeof parsed === "object" ? parsed.problem : `read as ${parsed}`, problem)
  })
}

const printed = [
  { bytes: 0, text: "0 B", because: "nothing" },
  { bytes: 999, text: "999 B", because: "bytes are whole" },
  { bytes: 1_000, text: "0.98 KiB", because: "at most three digits" },
  { bytes: 1_536, text: "1.5 KiB", because: "no zero at the end" },
  { bytes: 8 * 1024 ** 2, text: "8 MiB", because: "nor a point" },
  { bytes: 123_456_789, text: "118 MiB", because: "three digits need no fraction" },
  { bytes: 1024 ** 3 - 1, text: "1 GiB", because: "not 1024 MiB" },
  { bytes: 5_000 * 1024 ** 4, text: "5000 TiB", because: "the last unit takes the rest" },
] as const

for (const { bytes, text, because } of printed) {
  test(`${bytes} bytes are printed as ${text}: ${because}`, () => equal(formatSize(bytes), text))
}
