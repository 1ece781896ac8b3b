import { deepEqual, equal, ok, throws } from "node:assert/strict"
import { test } from "node:test"
import { UsageError } from "../failure.ts"
import { type StressForm, stressAtSettings, stressSettings } from "./stress.ts"

const unset: StressForm = {
  nodes: undefined,
  copies: undefined,
  clients: undefined,
  keys: undefined,
  duration: undefined,
  rate: undefined,
  memory: undefined,
  seed: undefined,
  faults: undefined,
  logs: undefined,
}

test("without options: twenty nodes, every kind of fault, less than two minutes", () => {
  const { nodes, faults, durationMs, seed } = stressSettings(unset)
  equal(nodes, 20)
  deepEqual(faults, ["crash", "pause", "leave", "join", "restart"])
  ok(durationMs <= 60_000)
  ok(Number.isInteger(seed))
})

const meant: { form: Partial<StressForm>; settings: Partial<ReturnType<typeof stressSettings>> }[] = [
  { form: { faults: ["none"] }, settings: { faults: [] } },
  { form: { faults: ["join,crash", "join"] }, settings: { faults: ["join", "crash"] } },
  {
    form: { faults: ["all"] },
    settings: {
      faults: ["crash", "pause", "leave", "join", "restart", "leader-crash", "freeze", "flap", "join-burst"],
    },
  },
  { form: { rate: "max" }, settings: { rate: undefined } },
  { form: { rate: "50" }, settings: { rate: 50 } },
  { form: { duration: "1m30s" }, settings: { durationMs: 90_000 } },
  {
    form: { memory: "16MiB" },
    // Three times 20 times 4 MiB over two copies of 2,000 keys.
    settings: { memory: "forgetful", valueBytes: 62_915, nodeArgs: ["--memory", "16MiB"] },
  },
  { form: { memory: "4GiB" }, settings: { memory: "forgetful", valueBytes: 65_536 } },
  { form: {}, settings: { memory: "strict", nodeArgs: ["--memory", "256MiB", "--eviction", "none"] } },
  { form: { nodes: "1", faults: ["none"] }, settings: { nodes: 1 } },
]

for (const { form, settings } of meant)
  test(`${JSON.stringify(form)} means ${JSON.stringify(settings)}`, () => {
    const read = stressSettings({ ...unset, ...form })
    deepEqual({ ...read, ...settings }, read)
  })

const refused: { form: Partial<StressForm>; flag: string; because: RegExp }[] = [
  { form: { nodes: "2" }, flag: "--nodes", because: /faults need 3 nodes or more/ },
  { form: { nodes: "1000" }, flag: "--nodes", because: /from 1 to 200/ },
  { form: { faults: ["none,crash"] }, flag: "--faults", because: /none goes with no other kind/ },
  { form: { faults: ["all,crash"] }, flag: "--faults", because: /all goes with no other kind/ },
  { form: { faults: ["quake"] }, flag: "--faults", because: /must be one of crash, pause, leave, join, restart/ },
  { form: { rate: "0" }, flag: "--rate", because: /from 1 to/ },
  { form: { memory: "1MiB" }, flag: "--memory", because: /16MiB or more/ },
  { form: { duration: "30" }, flag: "--duration", because: /30s or 30ms/ },
]

for (const { form, flag, because } of refused)
  test(`${JSON.stringify(form)} is refused: ${because.source}`, () => {
    throws(
      () => stressSettings({ ...unset, ...form }),
      (error: unknown) => error instanceof UsageError && error.option?.flag === flag && because.test(error.message),
    )
  })

test("a running cluster is loaded as nodes of its own are, and no fault is made", () => {
  const { clients, keys, durationMs, rate } = stressAtSettings({ ...unset, faults: ["none"], rate: "max" })
  deepEqual([clients, keys, durationMs, rate], [64, 2_000, 40_000, undefined])
})

const refusedAt: { form: Partial<StressForm>; flag: string; because: RegExp }[] = [
  { form: { nodes: "3" }, flag: "--nodes", because: /with --at it starts none/ },
  { form: { copies: "3" }, flag: "--copies", because: /with --at it starts none/ },
  { form: { logs: "/tmp/x" }, flag: "--logs", because: /with --at it starts none/ },
  { form: { memory: "16MiB" }, flag: "--memory", because: /with --at it starts none/ },
  { form: { faults: ["crash"] }, flag: "--faults", because: /no faults are made/ },
]

for (const { form, flag, because } of refusedAt)
  test(`with --at, ${JSON.stringify(form)} is refused: ${because.source}`, () => {
    throws(
      () => stressAtSettings({ ...unset, ...form }),
      (error: unknown) => error instanceof UsageError && error.option?.flag === flag && because.test(error.message),
    )
  })
