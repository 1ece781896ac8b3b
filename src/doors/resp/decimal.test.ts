import { equal } from "node:assert/strict"
import { test } from "node:test"
import { decimalSum } from "./decimal.ts"

for (const [a, b, sum] of [
  ["0.1", "0.2", "0.3"],
  ["10.50", "0.1", "10.6"],
  ["5.0e3", "2.0e2", "5200"],
  ["-1.5", "1.5", "0"],
  ["1e-17", "0", "0.00000000000000001"],
  ["1e-18", "4e-18", "0"],
  ["5e-18", "0", "0.00000000000000001"],
  [".5", "5.", "5.5"],
  ["+3", "-4", "-1"],
  ["1e400", "-1e400", "0"],
  ["x", "1", undefined],
  ["", "1", undefined],
  [".", "1", undefined],
  ["1e401", "1", undefined],
  [" 1", "1", undefined],
  ["nan", "1", undefined],
  ["9".repeat(1_001), "1", undefined],
] as const)
  test(`${a} and ${b}: ${sum}`, () => equal(decimalSum(a, b), sum))
