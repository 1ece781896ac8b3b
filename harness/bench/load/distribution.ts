/** Which key comes next: all alike, or a few much more often than the rest. */
import type { Prng } from "../../../src/base/prng.ts"

export type Distribution = { readonly kind: "uniform" } | { readonly kind: "zipf"; readonly exponent: number }

/** Draws indexes in [0, count); with zipf the lowest are the most popular. */
export type KeyPicker = () => number

export function keyPicker(distribution: Distribution, count: number, prng: Prng): KeyPicker {
  if (distribution.kind === "uniform") return () => prng.below(count)
  return zipfPicker(distribution.exponent, count, prng)
}

/**
 * Index i is drawn with a probability in proportion to 1 / (i + 1)^exponent, exactly, without tables, whatever the count:
 * rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
 * distributions", 1996). Ranks count from 1 inside, as in the paper.
 */
function zipfPicker(exponent: number, count: number, prng: Prng): KeyPicker {
  const density = (x: number) => Math.exp(-exponent * Math.log(x))
  // Integral of the density, and its inverse; both are written so that an exponent of 1 is no special case.
  const integral = (x: number) => expRatio((1 - exponent) * Math.log(x)) * Math.log(x)
  const inverse = (area: number) => Math.exp(logRatio(Math.max(-1, area * (1 - exponent))) * area)
  const lowest = integral(1.5) - 1
  const highest = integral(count + 0.5)
  // Within this distance of its rank a draw needs no further look: the area lies under the density for sure.
  const safeDistance = 2 - inverse(integral(2.5) - density(2))
  return () => {
    for (;;) {
      const area = highest + prng.fraction() * (lowest - highest)
      const x = inverse(area)
      const rank = Math.min(count, Math.max(1, Math.floor(x + 0.5)))
      if (rank - x <= safeDistance || area >= integral(rank + 0.5) - density(rank)) return rank - 1
    }
  }
}

/** (e^x - 1) / x, also where x is almost nothing. */
function expRatio(x: number): number {
  return Math.abs(x) > 1e-8 ? Math.expm1(x) / x : 1 + x / 2
}

/** ln(1 + x) / x, also where x is almost nothing. */
function logRatio(x: number): number {
  return Math.abs(x) > 1e-8 ? Math.log1p(x) / x : 1 - x / 2
}
