#!/usr/bin/env node
/** Registers the commands and hands the arguments to them. */
import { type LoadCommand, runProcess } from "./cli/run.ts"

const commands = new Map<string, LoadCommand>([
  ["node", async () => (await import("./cli/commands/node.ts")).NodeCommand],
  ["get", async () => (await import("./cli/commands/get.ts")).GetCommand],
  ["set", async () => (await import("./cli/commands/set.ts")).SetCommand],
  ["delete", async () => (await import("./cli/commands/delete.ts")).DeleteCommand],
  ["incr", async () => (await import("./cli/commands/incr.ts")).IncrCommand],
  ["ttl", async () => (await import("./cli/commands/ttl.ts")).TtlCommand],
  ["touch", async () => (await import("./cli/commands/touch.ts")).TouchCommand],
  ["keys", async () => (await import("./cli/commands/keys.ts")).KeysCommand],
  ["clear", async () => (await import("./cli/commands/clear.ts")).ClearCommand],
  ["status", async () => (await import("./cli/commands/status.ts")).StatusCommand],
  ["top", async () => (await import("./cli/commands/top.ts")).TopCommand],
  ["leave", async () => (await import("./cli/commands/leave.ts")).LeaveCommand],
  ["forget", async () => (await import("./cli/commands/forget.ts")).ForgetCommand],
  ["recover", async () => (await import("./cli/commands/recover.ts")).RecoverCommand],
  ["shutdown", async () => (await import("./cli/commands/shutdown.ts")).ShutdownCommand],
  ["health", async () => (await import("./cli/commands/health.ts")).HealthCommand],
  ["bench", async () => (await import("./cli/commands/bench.ts")).BenchCommand],
  ["stress", async () => (await import("./cli/commands/stress.ts")).StressCommand],
])

void runProcess(commands)
