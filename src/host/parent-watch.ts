/**
 * A node started by a load tester or a test must not outlive it, however that one ends: a parent killed with SIGKILL can
 * end nobody. The operating system closes the pipe between them in every case, so a child that was asked to
 * (`DCACHE_EXIT_WITH_PARENT=1`) ends when its standard input does.
 */
export const exitWithParentVariable = "DCACHE_EXIT_WITH_PARENT"

/** Call once, early: a parent may die while its child still joins. Does nothing unless the variable asks for it. */
export function exitWithParent(env: Readonly<Record<string, string | undefined>>): void {
  if (env[exitWithParentVariable] !== "1") return
  const exit = () => process.exit(1)
  process.stdin.on("end", exit).on("error", exit).resume()
}
