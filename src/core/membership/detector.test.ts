import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { allRules } from "../rules.ts"
import { Detector } from "./detector.ts"

function detectorOf(members: string[], nowMs = 0): Detector {
  const detector = new Detector({ suspectMs: 400, beatMs: 150, suspectCap: 5, suspectExpiryMs: 1_000, rules: allRules })
  detector.viewChanged({ members, nowMs, graceMs: 0, suspectMs: 400, beatMs: 150, known: "restarted" })
  return detector
}

/** Beats every `everyMs` until `untilMs`, each grant confirmed by the next beat. */
function beats(detector: Detector, id: string, options: { fromMs: number; untilMs: number; everyMs: number }): void {
  let n = 0
  for (let ms = options.fromMs; ms <= options.untilMs; ms += options.everyMs) {
    n += 1
    detector.beat(id, 1, n - 1, ms)
    detector.granted(id, n, ms)
  }
}

test("a member is silent when its beats stop for longer than the limit", () => {
  const detector = detectorOf(["a", "b"])
  beats(detector, "a", { fromMs: 0, untilMs: 1_500, everyMs: 150 })
  beats(detector, "b", { fromMs: 0, untilMs: 1_050, everyMs: 150 })
  deepEqual(detector.silent(1_440), [])
  deepEqual(detector.silent(1_460), ["b"])
})

test("a member that sends but never confirms a grant is silent too", () => {
  const detector = detectorOf(["deaf"])
  for (let ms = 0; ms <= 600; ms += 150) {
    detector.beat("deaf", 1, 0, ms)
    detector.granted("deaf", ms / 150 + 1, ms)
  }
  equal(detector.hears("deaf", 390), true)
  equal(detector.hears("deaf", 610), false)
})

test("a member whose beats are always late is given longer, up to the cap", () => {
  const detector = detectorOf(["slow"])
  beats(detector, "slow", { fromMs: 0, untilMs: 60_000, everyMs: 700 })
  const lastMs = Math.floor(60_000 / 700) * 700
  equal(detector.hears("slow", lastMs + 650), true)
  equal(detector.hears("slow", lastMs + 2_001), false)
})

test("what a late voter did not hear is no fault of others, and it reports nobody for a while", () => {
  const detector = detectorOf(["a"])
  beats(detector, "a", { fromMs: 0, untilMs: 300, everyMs: 150 })
  detector.ownLateness(1_000, 1_300, 150)
  deepEqual(detector.silent(1_449), [])
  deepEqual(detector.silent(1_640), [])
  deepEqual(detector.silent(1_710), ["a"])
})

test("a member fails by a majority of the voters that are heard, the subject not counted", () => {
  const voters = ["me", "a", "b", "c", "x"]
  const detector = detectorOf(["a", "b", "c", "x"])
  for (const id of ["a", "b"]) beats(detector, id, { fromMs: 0, untilMs: 900, everyMs: 150 })
  const verdicts = () => detector.verdicts({ voters, self: "me", nowMs: 1_000 })
  detector.report("x", 7, "me", 1_000)
  deepEqual(verdicts(), { failed: [], doubted: ["x"] }, "one of me, a, b")
  detector.report("x", 7, "a", 1_000)
  deepEqual(verdicts().failed, [{ id: "x", since: 7 }], "two of me, a, b: c is silent itself and does not count")
  detector.withdraw("x", 7, "a")
  deepEqual(verdicts().failed, [])
  deepEqual(detector.verdicts({ voters, self: "me", nowMs: 2_001 }).doubted, [], "a report that is not renewed ends")
})

test("one deaf voter that reports everyone removes nobody", () => {
  const voters = ["me", "a", "deaf"]
  const detector = detectorOf(["a", "deaf"])
  for (const id of ["a", "deaf"]) beats(detector, id, { fromMs: 0, untilMs: 900, everyMs: 150 })
  for (const subject of ["a", "me"]) detector.report(subject, 1, "deaf", 1_000)
  deepEqual(detector.verdicts({ voters, self: "me", nowMs: 1_001 }).failed, [])
})

test("a member that has just joined is allowed more for a while", () => {
  const detector = detectorOf([])
  detector.viewChanged({ members: ["new"], nowMs: 0, graceMs: 0, suspectMs: 400, beatMs: 150, known: "kept" })
  beats(detector, "new", { fromMs: 0, untilMs: 1_500, everyMs: 150 })
  equal(detector.hears("new", 2_490), true)
  equal(detector.hears("new", 2_510), false)
  beats(detector, "new", { fromMs: 4_950, untilMs: 5_100, everyMs: 150 })
  equal(detector.hears("new", 5_510), false, "it is warm now")
})

test("a beat that came while this voter was late says nothing of its member", () => {
  const detector = detectorOf(["a"])
  beats(detector, "a", { fromMs: 0, untilMs: 300, everyMs: 150 })
  detector.beat("a", 1, 3, 5_300, "late")
  equal(detector.hears("a", 5_710), false)
})

test("a new member is given its grace, and a new voter starts everyone's clock afresh", () => {
  const detector = detectorOf(["a"])
  const view = { nowMs: 5_000, graceMs: 1_200, suspectMs: 400, beatMs: 150 }
  detector.viewChanged({ ...view, members: ["a", "b"], known: "kept" })
  deepEqual(detector.silent(5_001), ["a"])
  detector.viewChanged({ ...view, members: ["a", "b"], known: "restarted" })
  deepEqual(detector.silent(6_500), [])
  deepEqual(detector.silent(6_601), ["a", "b"])
})

test("a beat that was read after a pause, before the pause was noticed, is not taken for one from the future", () => {
  const detector = detectorOf(["a"])
  beats(detector, "a", { fromMs: 0, untilMs: 5_000, everyMs: 150 })
  // Stopped from 5 s to 10 s. What lay in the socket is read first, then comes the tick; then the member dies.
  detector.beat("a", 1, 34, 10_000, "late")
  detector.ownLateness(5_000, 10_000, 150)
  deepEqual(detector.silent(10_400), [])
  deepEqual(detector.silent(10_410), ["a"])
})

test("a member whose port refused a connection is silent until it beats, and is judged as ever afterwards", () => {
  const detector = detectorOf(["a"])
  beats(detector, "a", { fromMs: 0, untilMs: 1_500, everyMs: 150 })
  detector.refused("a")
  deepEqual(detector.silent(1_510), ["a"])
  detector.beat("a", 1, 11, 1_650)
  deepEqual(detector.silent(1_660), [])
  deepEqual(detector.silent(2_040), [])
  deepEqual(detector.silent(2_060), ["a"], "the refusal taught it no patience")
})
