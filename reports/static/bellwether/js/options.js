// What ECharts is told: one place for how charts look.
import { fixed, moment, percent, shown } from "./format.js";

export function options(data, colour, isAnimated) {
  const { granularity, timezone, starts } = data;
  const isOneDay = granularity === "hour" && starts.length <= 26;
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
      axisLabel: { color: colour.muted, hideOverlap: true, margin: 10, formatter: (start) => (isOneDay ? moment(start, "minute", timezone) : moment(start, granularity, timezone, true)) },
      axisPointer: { label: { show: false } },
    },
    yAxis: {
      type: "value",
      splitNumber: 4,
      max: data.unit === "ratio" ? ({ max }) => (max > 1 || (max > 0 && max <= 0.8) ? null : 1) : undefined,
      minInterval: isWhole ? 1 : 0,
      axisLabel: { color: colour.muted, formatter: (value) => shown(value, data, true) },
      splitLine: { lineStyle: { color: colour.line } },
    },
    series: data.parts ? parts(data, colour) : [...main(data, colour), ...before(data, colour), ...goals(data, colour)],
  };
}

// A line up to the last whole bucket, then dashed: what is not over yet is no fall.
function line(values, data, look) {
  const open = new Set(data.open ?? []), last = values.length - 1;
  let whole = last;
  while (whole >= 0 && open.has(whole)) whole -= 1;
  const isAlone = values.filter((value) => value !== null).length === 1; // one point makes no line
  const solid = { type: "line", symbol: "circle", symbolSize: 7, ...look, data: values.map((value, place) => (place <= whole ? value : null)), showSymbol: look.showSymbol || isAlone };
  if (whole === last) return [solid];
  const { areaStyle, markLine, ...rest } = solid;
  return [solid, { ...rest, data: values.map((value, place) => (place >= whole ? value : null)), lineStyle: { ...look.lineStyle, type: [5, 4] }, showSymbol: look.showSymbol || whole < 0 || isAlone }];
}

function main(data, colour) {
  const tint = colour["series-1"];
  return line(data.values, data, { name: data.name, lineStyle: { width: 2, color: tint }, itemStyle: { color: tint }, z: 3, areaStyle: { color: tint, opacity: 0.08 }, markLine: marks(data, colour) });
}

// Values of a dimension: colour and shape together say which is which; all others are one quiet line.
const SIGNS = ["none", "circle", "rect", "triangle", "diamond", "path://M0 0L8 0L4 8z"];
function parts(data, colour) {
  return data.parts.flatMap(({ name, line: number, values }, place) => {
    const tint = number ? colour[`series-${number}`] : colour.before;
    return line(values, data, { name, lineStyle: { width: number ? 2 : 1.5, color: tint }, itemStyle: { color: tint }, symbol: SIGNS[number], symbolSize: 6, showSymbol: number > 0, z: 9 - place, emphasis: { focus: "series" }, markLine: place ? undefined : marks({ ...data, limits: {} }, colour) });
  });
}

function before(data, colour) {
  if (!data.before?.length) return [];
  return [{ type: "line", name: "before", data: data.before.slice(0, data.values.length), showSymbol: false, silent: true, z: 2, lineStyle: { width: 1.5, type: [4, 4], color: colour.before }, itemStyle: { color: colour.before } }];
}

function goals(data, colour) {
  return (data.goals ?? []).map(({ name, values }) => ({ type: "line", name, data: values, showSymbol: false, silent: true, z: 2, lineStyle: { width: 1.5, type: [2, 3], color: colour.goal }, itemStyle: { color: colour.goal } }));
}

function marks(data, colour) {
  const lines = [], limits = Object.entries(data.limits ?? {}).filter(([, value]) => isNear(value, data)), top = Math.max(...limits.map(([, value]) => value));
  for (const [name, value] of limits) {
    lines.push({ yAxis: value, lineStyle: { color: name === "critical" ? colour.bad : colour.warn, type: "dotted" }, label: { formatter: name, position: value === top ? "insideEndTop" : "insideEndBottom", color: name === "critical" ? colour.bad : colour.warn } });
  }
  for (const note of data.annotations ?? []) {
    lines.push({ xAxis: note.place, lineStyle: { color: colour["line-strong"], type: "solid" }, label: { show: false } });
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

// What a whole bucket gained or lost against the one before: " ▲ 9.1 %", of ratios in points.
function against(value, before, { unit }) {
  if (typeof value !== "number" || typeof before !== "number" || value === before) return "";
  const arrow = value > before ? "▲" : "▼";
  if (unit === "ratio") return `  ${arrow} ${fixed(Math.abs(value - before) * 100, 1)} pp`;
  return before > 0 ? `  ${arrow} ${percent(Math.abs(value - before) / before * 100)}` : "";
}

function words(place, data) {
  const { starts, values, before, before_starts: beforeStarts, granularity, timezone, open = [] } = data;
  const isOpen = open.includes(place);
  const lines = [`${moment(starts[place], granularity, timezone)}${isOpen ? " (so far)" : ""}`, `${data.name}: ${shown(values[place], data)}${isOpen ? "" : against(values[place], before?.[place], data)}`];
  for (const part of data.parts ?? []) lines.push(`${part.name}: ${shown(part.values[place], data)}`);
  if (before?.[place] !== undefined) lines.push(`${moment(beforeStarts[place], granularity, timezone)}: ${shown(before[place], data)}`);
  for (const goal of data.goals ?? []) if (goal.values[place] !== null) lines.push(`${goal.name}: ${shown(goal.values[place], data)}`);
  for (const note of data.annotations ?? []) if (note.place === place) lines.push(`◆ ${note.title}`);
  return lines.join("\n");
}
