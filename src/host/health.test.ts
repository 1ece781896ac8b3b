import { equal, match } from "node:assert/strict"
import { test } from "node:test"
import { type Health, healthAnswer, readinessAnswer } from "./health.ts"

const cases: { health: Health | undefined; status: number; line: RegExp; because: string }[] = [
  { health: undefined, status: 503, line: /^starting/, because: "the port is open before the node is made" },
  {
    health: { phase: "joining", hasLease: false, epoch: 0, hasSettled: true },
    status: 503,
    line: /^joining/,
    because: "nobody took it in",
  },
  {
    health: { phase: "member", hasLease: true, epoch: 7, hasSettled: true },
    status: 200,
    line: /epoch 7/,
    because: "it serves",
  },
  {
    health: { phase: "member", hasLease: false, epoch: 7, hasSettled: true },
    status: 503,
    line: /^no lease/,
    because: "it refuses",
  },
  {
    health: { phase: "leaving", hasLease: true, epoch: 7, hasSettled: true },
    status: 503,
    line: /^leaving/,
    because: "others should be asked",
  },
  {
    health: { phase: "left", hasLease: false, epoch: 7, hasSettled: true },
    status: 503,
    line: /^left/,
    because: "it has gone",
  },
]

for (const { health, status, line, because } of cases) {
  test(`healthAnswer: ${status} while ${health?.phase ?? "starting"}, because ${because}`, () => {
    const answer = healthAnswer(health)
    equal(answer.status, status)
    match(answer.line, line)
    equal(answer.line.includes("\n"), false)
  })
}

test("a member that was never filled is healthy and not ready", () => {
  const filling: Health = { phase: "member", hasLease: true, epoch: 7, hasSettled: false }
  equal(healthAnswer(filling).status, 200)
  equal(readinessAnswer(filling).status, 503)
  match(readinessAnswer(filling).line, /^filling/)
  equal(readinessAnswer({ ...filling, hasSettled: true }).status, 200)
})

test("whoever is not healthy is not ready, for the same reason", () => {
  for (const { health, status } of cases)
    if (status === 503) equal(readinessAnswer(health).line, healthAnswer(health).line)
})
