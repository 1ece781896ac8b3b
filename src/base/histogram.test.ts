import { equal, ok, throws } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { LatencyHistogram } from "./histogram.ts"

function histogramOf(values: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram()
  for (const us of values) histogram.record(us)
  return histogram
}

const oneToHundred = Array.from({ length: 100 }, (_, index) => index + 1)

const cases = [
  { values: [], percent: 50, us: 0, because: "nothing was recorded" },
  { values: [7], percent: 0, us: 7, because: "the least is there as well" },
  { values: [7], percent: 100, us: 7, because: "one value is all percentiles" },
  { values: oneToHundred, percent: 50, us: 50, because: "small values are exact" },
  { values: oneToHundred, percent: 99, us: 99, because: "nearest rank, nothing in between" },
  { values: oneToHundred, percent: 99.5, us: 100, because: "a rank is rounded up" },
  { values: [0, 0, 0], percent: 50, us: 0, because: "nothing may take no time" },
  { values: [0.9], percent: 50, us: 0.9, because: "never more than the longest" },
  { values: [128, 10_000], percent: 50, us: 129, because: "rounded up within a bucket" },
  { values: [1_000_000], percent: 50, us: 1_000_000, because: "and never above the longest" },
  { values: [2 ** 40], percent: 50, us: 2 ** 40, because: "what is longer than all buckets is not shortened" },
] as const

for (const { values, percent, us, because } of cases) {
  test(`${percent} % of ${values.length} values took ${us} us or less: ${because}`, () =>
    equal(histogramOf(values).percentileUs(percent), us))
}

test("is at most 1/64 above the percentile by sorting, and never below it", () => {
  const values = fc.array(fc.double({ min: 0, max: 2 ** 34, noNaN: true }).map(Math.ceil), { minLength: 1 })
  fc.assert(
    fc.property(values, fc.integer({ min: 0, max: 100 }), (values, percent) => {
      const exact = values.toSorted((a, b) => a - b)[Math.max(1, Math.ceil((percent / 100) * values.length)) - 1] ?? 0
      const us = histogramOf(values).percentileUs(percent)
      ok(us >= exact && us <= exact * (1 + 1 / 64), `${us} for ${exact}`)
    }),
  )
})

test("merging two is the same as recording everything in one", () => {
  fc.assert(
    fc.property(fc.array(fc.nat()), fc.array(fc.nat()), (some, others) => {
      const merged = histogramOf(some)
      merged.merge(histogramOf(others))
      const one = histogramOf([...some, ...others])
      equal(merged.count, one.count)
      equal(merged.maxUs, one.maxUs)
      for (const percent of [0, 50, 90, 99, 100]) equal(merged.percentileUs(percent), one.percentileUs(percent))
    }),
  )
})

test("a negative latency is somebody's mistake", () => {
  throws(() => new LatencyHistogram().record(-1), /not negative/)
})

test("a wait that hid questions is counted as all of them: 100 ms with one due every 10 ms is 100, 90, ... 10", () => {
  const histogram = histogramOf([100_000])
  const corrected = histogram.corrected(10_000)
  equal(corrected.count, 10)
  equal(corrected.maxUs, 100_000)
  ok(corrected.percentileUs(50) >= 50_000 && corrected.percentileUs(50) <= 51_000)
  equal(histogram.count, 1)
})

test("answers that come before the next question is due stay as they are", () => {
  const corrected = histogramOf([3, 5, 9]).corrected(10)
  equal(corrected.count, 3)
  equal(corrected.percentileUs(100), 9)
})

test("tells the sum, and how many did not exceed a bound", () => {
  const histogram = histogramOf([1, 2, 3, 100_000])
  equal(histogram.sumUs, 100_006)
  equal(histogram.countAtMost(0), 0)
  equal(histogram.countAtMost(2), 2)
  equal(histogram.countAtMost(99_000), 3)
  equal(histogram.countAtMost(110_000), 4)
})
