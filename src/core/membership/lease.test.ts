import { equal } from "node:assert/strict"
import { test } from "node:test"
import { allRules } from "../rules.ts"
import { Lease } from "./lease.ts"

const leaseMs = 500

function leaseOf(voters: string[], rules = allRules): Lease {
  const lease = new Lease({ leaseMs, rules })
  lease.viewChanged(voters, leaseMs)
  return lease
}

// When a grant comes matters nothing: the last argument is there for the mutant that goes by it.

test("a lease lasts from the sending of the beat that the last voter of a majority granted", () => {
  const lease = leaseOf(["a", "b", "c"])
  const first = lease.nextBeat(1_000)
  lease.granted("a", first, 0)
  equal(lease.isValid(1_001), false, "one of three is no majority")
  const second = lease.nextBeat(1_150)
  lease.granted("b", second, 0)
  equal(lease.isValid(1_499), true)
  equal(lease.isValid(1_500), false, "a's grant, the older of the two needed, has ended")
  lease.granted("a", second, 0)
  equal(lease.isValid(1_649), true)
  equal(lease.isValid(1_650), false)
})

test("grants of an earlier view count from those who still vote, and from nobody else", () => {
  const lease = leaseOf(["a", "b", "c"])
  const n = lease.nextBeat(0)
  lease.granted("a", n, 0)
  lease.granted("b", n, 0)
  lease.viewChanged(["b", "c", "d"], leaseMs)
  equal(lease.isValid(1), false)
  lease.granted("d", n, 0)
  equal(lease.isValid(1), true)
})

test("a grant that is late, repeated or never asked for adds nothing", () => {
  const lease = leaseOf(["a"])
  const old = lease.nextBeat(0)
  const recent = lease.nextBeat(100)
  lease.granted("a", recent, 0)
  lease.granted("a", old, 0)
  equal(lease.isValid(599), true, "an older grant does not shorten")
  lease.granted("a", recent + 1, 0)
  equal(lease.isValid(600), false, "a beat that was never sent does not lengthen")
})

test("after the clock has jumped only beats sent later count", () => {
  const lease = leaseOf(["a"])
  const before = lease.nextBeat(0)
  lease.granted("a", before, 0)
  lease.clockJumped()
  equal(lease.isValid(1), false)
  lease.granted("a", before, 0)
  equal(lease.isValid(1), false, "the grant was for a beat from before the sleep")
  lease.granted("a", lease.nextBeat(2), 0)
  equal(lease.isValid(3), true)
})

test("the age of a grant is known for as long as it matters", () => {
  const lease = leaseOf(["a"])
  equal(lease.ageOfGrant("x", 0, 1_000), undefined)
  lease.give("x", 100)
  equal(lease.ageOfGrant("x", 350, 1_000), 250)
  equal(lease.ageOfGrant("x", 1_101, 1_000), undefined)
})

test("switched off by a test: a lease from a minority, and no lease at all", () => {
  const minority = leaseOf(["a", "b", "c"], { ...allRules, leaseMajority: false })
  minority.granted("a", minority.nextBeat(0), 0)
  equal(minority.isValid(1), true)
  equal(leaseOf(["a", "b", "c"], { ...allRules, lease: false }).isValid(1), true)
})
