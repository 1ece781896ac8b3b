import { equal } from "node:assert/strict"
import { test } from "node:test"
import { defaultMemoryBytes, isTooLittle, memoryForEntries } from "./memory.ts"

const gib = 1024 ** 3
const cases = [
  { totalGib: 16, limitGib: undefined, node: "alone", gib: 4, because: "a quarter of the machine" },
  { totalGib: 16, limitGib: 2, node: "alone", gib: 0.5, because: "a container's limit counts where it is smaller" },
  { totalGib: 16, limitGib: 9e9, node: "alone", gib: 4, because: "no limit is reported as an absurd one" },
  { totalGib: 16, limitGib: undefined, node: "sharing", gib: 1, because: "neighbours leave a sixteenth" },
  { totalGib: 0.1, limitGib: undefined, node: "sharing", gib: 1 / 64, because: "less than 16 MiB is no cache" },
] as const

for (const { totalGib, limitGib, node, gib: expected, because } of cases) {
  test(`of ${totalGib} GiB, ${node}: ${because}`, () => {
    const machine = { totalBytes: totalGib * gib, limitBytes: limitGib === undefined ? undefined : limitGib * gib }
    equal(defaultMemoryBytes(machine, node) / gib, expected)
  })
}

const mib = 1024 ** 2
for (const { memory, entries, because } of [
  { memory: 1_024, entries: 896, because: "the process itself needs its part" },
  { memory: 256, entries: 128, because: "the process itself needs its part" },
  { memory: 64, entries: 16, because: "less than the process needs is still a cache" },
]) {
  test(`of ${memory} MiB entries get ${entries}: ${because}`, () => {
    equal(memoryForEntries(memory * mib), entries * mib)
    equal(isTooLittle(memory * mib), memory < 128)
  })
}
