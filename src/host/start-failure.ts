/** Why there is no daemon, in words for whoever started it. */
export class StartFailure extends Error {
  override name = "StartFailure"
  readonly kind: "cannot-listen" | "bad-config" | "hint-file" | "data"

  constructor(kind: StartFailure["kind"], message: string) {
    super(message)
    this.kind = kind
  }
}
