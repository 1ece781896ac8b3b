/** A picture of operations a second, as SVG. */
import { loaded } from "./installed.ts"

type Echarts = {
  init(
    element: null,
    theme: null,
    options: object,
  ): { setOption(option: object): void; renderToSVGString(): string; dispose(): void }
}

/** A group of bars for each mode, a bar for each target. */
export async function chart(options: {
  readonly title: string
  readonly modes: readonly string[]
  readonly targets: readonly { readonly name: string; readonly values: readonly (number | undefined)[] }[]
}): Promise<string> {
  const { init } = await loaded<Echarts>("echarts")
  const picture = init(null, null, { renderer: "svg", ssr: true, width: 960, height: 420 })
  picture.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: { text: options.title, left: "center", textStyle: { fontSize: 15 } },
    legend: { bottom: 0 },
    grid: { left: 60, right: 20, top: 50, bottom: 70 },
    xAxis: { type: "category", data: options.modes },
    yAxis: { type: "value", name: "thousand a second" },
    series: options.targets.map(({ name, values }) => ({
      ...{ name, type: "bar" },
      data: values.map(value => (value === undefined ? "-" : Math.round(value / 100) / 10)),
    })),
  })
  const svg = picture.renderToSVGString()
  picture.dispose()
  return svg
}
