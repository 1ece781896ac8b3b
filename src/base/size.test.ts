import { equal } from "node:assert/strict"
import { test } from "node:test"
import { formatSize, parseSize } from "./size.ts"

const parsed = [
  { text: "512", bytes: 512, because: "a bare number is bytes" },
  { text: "64MiB", bytes: 67_108_864, because: "the exact spelling" },
  { text: "64mb", bytes: 67_108_864, because: "the common one means the same" },
  { text: "2g", bytes: 2_147_483_648, because: "the short one too" },
  { text: "1.5 KiB", bytes: 1_536, because: "fractions" },
]
for (const { text, bytes, because } of parsed)
  test(`parseSize(${text}): ${because}`, () => equal(parseSize(text), bytes))

for (const text of ["", "lots", "-1m", "1x", "MiB", "1e9", `${"9".repeat(20)}t`]) {
  test(`parseSize(${text}) is none`, () => equal(parseSize(text), undefined))
}

const formatted = [
  { bytes: 0, text: "0 B" },
  { bytes: 1_023, text: "1023 B" },
  { bytes: 1_024, text: "1 KiB" },
  { bytes: 1_048_575, text: "1 MiB" },
  { bytes: 1_610_612_736, text: "1.5 GiB" },
]
for (const { bytes, text } of formatted) test(`formatSize(${bytes}) is ${text}`, () => equal(formatSize(bytes), text))
