import { equal } from "node:assert/strict"
import { test } from "node:test"
import { rangesText } from "./ranges.ts"

const cases: readonly (readonly [numbers: number[], text: string])[] = [
  [[], ""],
  [[7], "7"],
  [[3, 4, 5, 9], "3-5, 9"],
  [[1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 26], "1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23 and more"],
]
for (const [numbers, text] of cases)
  test(`${numbers.length} numbers: "${text}"`, () => equal(rangesText(numbers), text))
