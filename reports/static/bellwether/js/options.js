// What ECharts is told: one place for how charts look.
import { moment, shown } from "./format.js";

export function options(data, colour, isAnimated) {
  const { granularity, timezone, starts } = data;
  const isWhole = data.unit === "count" && Math.max(...data.values.map((value) => value ?? 0)) < 10;
  return {
    animation: isAnimated,
    animationDuration: 250,
    textStyle: { fontFamily: colour.font, fontSize: 12, color: colour.muted },
    grid: { left: 4, right: 10, top: 12, bottom: 2, containLabel: true },
    aria: { enabled: false },
    tooltip: tooltip(data, colour),
    xAxis: {
      type: "category",
      data: starts,
      boundaryGap: false,
      axisLine: { lineStyle: { color: colour.line } },
      axisTick: { show: false },
      axisLabel: { color: colour.muted, hideOverlap: true, margin: 10, formatter: (start) => moment(start, granularity, timezone, true) },
      axisPointer: { label: { show: false } },
    },
    yAxis: {
      type: "value",
      splitNumber: 4,
      minInterval: isWhole ? 1 : 0,
      axisLabel: { color: colour.muted, formatter: (value) => shown(value, data, true) },
      splitLine: { lineStyle: { color: colour.line } },
    },
    series: [...main(data, colour), ...before(data, colour), ...goals(data, colour)],
  };
}

// The line up to the last whole bucket, then dashed: what is not over yet is no fall.
function main(data, colour) {
  const open = new Set(data.open ?? []);
  const last = data.values.length - 1;
  let whole = last;
  while (whole >= 0 && open.has(whole)) whole -= 1;
  const line = { type: "line", showSymbol: false, symbol: "circle", symbolSize: 7, lineStyle: { width: 2, color: colour["series-1"] }, itemStyle: { color: colour["series-1"] }, emphasis: { disabled: false }, z: 3 };
  const solid = {
    ...line,
    name: data.name,
    data: data.values.map((value, place) => (place <= whole ? value : null)),
    showSymbol: data.values.length === 1,
    areaStyle: { color: colour["series-1"], opacity: 0.08 },
    markLine: marks(data, colour),
  };
  if (whole === last) return [solid];
  const dashed = { ...line, name: `${data.name} so far`, data: data.values.map((value, place) => (place >= whole ? value : null)), lineStyle: { ...line.lineStyle, type: [5, 4] }, showSymbol: whole < 0 || last === 0 };
  return [solid, dashed];
}

function before(data, colour) {
  if (!data.before?.length) return [];
  return [{ type: "line", name: "before", data: data.before.slice(0, data.values.length), showSymbol: false, silent: true, z: 2, lineStyle: { width: 1.5, type: [4, 4], color: colour.before }, itemStyle: { color: colour.before } }];
}

function goals(data, colour) {
  return (data.goals ?? []).map(({ name, values }) => ({ type: "line", name, data: values, showSymbol: false, silent: true, z: 2, lineStyle: { width: 1.5, type: [2, 3], color: colour.goal }, itemStyle: { color: colour.goal } }));
}

function marks(data, colour) {
  const lines = [];
  for (const [name, value] of Object.entries(data.limits ?? {})) {
    if (!isNear(value, data)) continue;
    lines.push({ yAxis: value, lineStyle: { color: name === "critical" ? colour.bad : colour.warn, type: "dotted" }, label: { formatter: name, position: "insideEndTop", color: name === "critical" ? colour.bad : colour.warn } });
  }
  for (const note of data.annotations ?? []) {
    lines.push({ xAxis: note.place, lineStyle: { color: colour["line-strong"], type: "solid" }, label: { formatter: note.mark, position: "end", color: colour.muted } });
  }
  return lines.length ? { silent: true, symbol: "none", animation: false, data: lines } : undefined;
}

// A limit far above or below would flatten the line.
function isNear(value, data) {
  const known = data.values.filter((each) => each !== null);
  const high = Math.max(...known, 0);
  return value <= high * 2 || data.unit === "ratio";
}

function tooltip(data, colour) {
  return {
    trigger: "axis",
    renderMode: "richText",
    confine: true,
    backgroundColor: colour.raised,
    borderColor: colour.line,
    textStyle: { color: colour.text, fontFamily: colour.font, fontSize: 12 },
    axisPointer: { type: "line", lineStyle: { color: colour["line-strong"], type: "solid" } },
    formatter: (items) => words([].concat(items)[0].dataIndex, data),
  };
}

function words(place, data) {
  const { starts, values, before, before_starts: beforeStarts, granularity, timezone, open = [] } = data;
  const lines = [`${moment(starts[place], granularity, timezone)}${open.includes(place) ? " (so far)" : ""}`, `${data.name}: ${shown(values[place], data)}`];
  if (before?.[place] !== undefined) lines.push(`${moment(beforeStarts[place], granularity, timezone)}: ${shown(before[place], data)}`);
  for (const goal of data.goals ?? []) if (goal.values[place] !== null) lines.push(`${goal.name}: ${shown(goal.values[place], data)}`);
  for (const note of data.annotations ?? []) if (note.place === place) lines.push(`◆ ${note.title}`);
  return lines.join("\n");
}
