/** What every record that people give a name of its own has, whatever it is of: a secret, a config, a network. */
export interface NamedHead {
  readonly id: string
  /** Never changes. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly version: number
}
