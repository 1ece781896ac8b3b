/** A made-up /proc, and the real one where there is one. */
import { deepEqual, equal } from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { ProcessTable } from "./process-table.ts"

const own = { pid: 100, startTicks: 5_000 }
const peer = { bootId: "b1", pidNamespace: "pid:[1]", pid: 200, startTicks: 6_000 }

/** One line of proc_pid_stat(5). */
function stat(pid: number, state: string, startTicks: number, name = "node"): string {
  return `${pid} (${name}) ${state} ${"0 ".repeat(18)}${startTicks} 3133440 356 0\n`
}

/** A /proc in which this process is 100. `peerStat`: what is under 200; undefined: nothing. */
function table(
  context: TestContext,
  { peerStat, exists = [], self = own.pid }: { peerStat?: string; exists?: number[]; self?: number },
): ProcessTable {
  const procDirectory = mkdtempSync(join(tmpdir(), "dcache-proc-"))
  context.after(() => rmSync(procDirectory, { recursive: true, force: true }))
  mkdirSync(join(procDirectory, "self/ns"), { recursive: true })
  mkdirSync(join(procDirectory, "sys/kernel/random"), { recursive: true })
  writeFileSync(join(procDirectory, "self/stat"), stat(self, "R", own.startTicks))
  writeFileSync(join(procDirectory, "sys/kernel/random/boot_id"), "b1\n")
  symlinkSync("pid:[1]", join(procDirectory, "self/ns/pid"))
  if (peerStat !== undefined) {
    mkdirSync(join(procDirectory, "200"))
    if (peerStat === "not a file") mkdirSync(join(procDirectory, "200/stat"))
    else writeFileSync(join(procDirectory, "200/stat"), peerStat)
  }
  return new ProcessTable({ procDirectory, pid: own.pid, exists: pid => exists.includes(pid) })
}

const cases: { peerStat?: string; exists?: number[]; sight: string; because: string }[] = [
  { peerStat: stat(200, "S", 6_000), exists: [200], sight: "running", because: "it is there" },
  { peerStat: stat(200, "T", 6_000), exists: [200], sight: "running", because: "stopped is not dead" },
  { peerStat: stat(200, "D", 6_000), exists: [200], sight: "running", because: "neither is waiting for a disk" },
  {
    peerStat: stat(200, "S", 6_000, "a) Z 0 (b"),
    exists: [200],
    sight: "running",
    because: "a name may hold anything",
  },
  { sight: "dead", because: "neither /proc nor the kernel knows it" },
  { exists: [200], sight: "unseen", because: "the kernel knows it, and /proc hides it (hidepid)" },
  { peerStat: stat(200, "Z", 6_000), exists: [200], sight: "dead", because: "a zombie does nothing any more" },
  { peerStat: stat(200, "X", 6_000), exists: [200], sight: "dead", because: "it is being taken away" },
  { peerStat: stat(200, "S", 6_001), exists: [200], sight: "dead", because: "its number belongs to a later process" },
  { peerStat: "not a file", exists: [200], sight: "unseen", because: "what cannot be read proves nothing" },
  { peerStat: "", sight: "unseen", because: "an empty file proves nothing" },
  { peerStat: "garbage", sight: "unseen", because: "nor does a format that is not known" },
  { peerStat: stat(201, "S", 6_000), sight: "unseen", because: "nor a file about somebody else" },
]

for (const { sight, because, ...given } of cases)
  test(`ProcessTable.look: ${sight}, because ${because}`, context => equal(table(context, given).look(peer), sight))

test("ProcessTable.isNear: of the same boot and the same namespace alone", context => {
  const processes = table(context, {})
  deepEqual(processes.self, { bootId: "b1", pidNamespace: "pid:[1]", ...own })
  equal(processes.isNear(peer), true)
  equal(processes.isNear({ ...peer, pidNamespace: "pid:[2]" }), false)
  equal(processes.isNear({ ...peer, bootId: "b2" }), false)
})

test("a /proc of another namespace, or none at all, says nothing of anybody", context => {
  const foreign = table(context, { self: 7 })
  equal(foreign.self, null)
  equal(foreign.isNear(peer), false)
  const none = new ProcessTable({ procDirectory: "/nowhere", pid: own.pid, exists: () => false })
  equal(none.self, null)
  equal(none.isNear(peer), false)
})

test("the real /proc: a child is seen to run, and to be dead when it is killed", async context => {
  const processes = ProcessTable.ofThisSystem()
  if (processes.self === null) return context.skip("this system has no /proc of our namespace")
  const child = spawn(process.execPath, ["-e", "console.log(1); setInterval(() => {}, 1000)"], { stdio: "pipe" })
  await once(child.stdout, "data")
  const { pid } = child
  if (pid === undefined) throw new Error("a child that speaks has a number")
  const startTicks = startOf(pid)
  const mark = { ...processes.self, pid, startTicks }
  equal(processes.look(mark), "running")
  const ended = once(child, "exit")
  child.kill("SIGKILL")
  await ended
  equal(processes.look(mark), "dead")
  equal(processes.look(processes.self), "running")
})

/** Read apart from the code under test. */
function startOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1")
  return Number(text.slice(text.lastIndexOf(") ") + 2).split(" ")[19])
}
