/** The cluster did not do what has to be seen before anything can be judged. The message is for people, and says what. */
export class CouldNotRun extends Error {
  override name = "CouldNotRun"
}
