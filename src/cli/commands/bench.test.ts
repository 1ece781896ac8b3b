import { deepEqual, ok, throws } from "node:assert/strict"
import { test } from "node:test"
import { UsageError } from "../failure.ts"
import { type BenchForm, benchSettings } from "./bench.ts"

const unset: BenchForm = {
  ...{ clients: undefined, pipeline: undefined, ratio: undefined, valueSize: undefined, keys: undefined },
  ...{ distribution: undefined, duration: undefined, rate: undefined, seed: undefined },
}

const meant: { form: Partial<BenchForm>; settings: Partial<ReturnType<typeof benchSettings>> }[] = [
  { form: {}, settings: { clients: 4, pipeline: 16, setShare: 0.1, valueBytes: 100, rate: undefined } },
  { form: { ratio: "1:1" }, settings: { setShare: 0.5 } },
  { form: { ratio: "0:1" }, settings: { setShare: 0 } },
  { form: { valueSize: "1KiB" }, settings: { valueBytes: 1_024 } },
  { form: { valueSize: "0" }, settings: { valueBytes: 0 } },
  { form: { distribution: "zipf" }, settings: { distribution: { kind: "zipf", exponent: 0.99 } } },
  { form: { distribution: "zipf:1.2" }, settings: { distribution: { kind: "zipf", exponent: 1.2 } } },
  { form: { rate: "max" }, settings: { rate: undefined } },
  { form: { rate: "5000", duration: "1m" }, settings: { rate: 5_000, durationMs: 60_000 } },
]

for (const { form, settings } of meant)
  test(`${JSON.stringify(form)} means ${JSON.stringify(settings)}`, () => {
    const read = benchSettings({ ...unset, ...form })
    deepEqual({ ...read, ...settings }, read)
    ok(Number.isInteger(read.seed))
  })

const refused: { form: Partial<BenchForm>; flag: string; because: RegExp }[] = [
  { form: { ratio: "0:0" }, flag: "--ratio", because: /like 1:9/ },
  { form: { ratio: "90" }, flag: "--ratio", because: /like 1:9/ },
  { form: { valueSize: "9MiB" }, flag: "--value-size", because: /8388608 bytes or less/ },
  { form: { distribution: "normal" }, flag: "--distribution", because: /uniform, zipf/ },
  { form: { distribution: "zipf:0" }, flag: "--distribution", because: /above 0/ },
  { form: { distribution: "zipf:11" }, flag: "--distribution", because: /at most 10/ },
  { form: { duration: "1ms" }, flag: "--duration", because: /100ms or more/ },
  { form: { clients: "0" }, flag: "--clients", because: /from 1 to/ },
  { form: { rate: "0" }, flag: "--rate", because: /from 1 to/ },
]

for (const { form, flag, because } of refused)
  test(`${JSON.stringify(form)} is refused: ${because.source}`, () => {
    throws(
      () => benchSettings({ ...unset, ...form }),
      (error: unknown) => error instanceof UsageError && error.option?.flag === flag && because.test(error.message),
    )
  })
