// Numbers that arrive while the page is open (`bw:live` of live.js) are written as the server would.
import { brief, fixed, percent, shown } from "./format.js";

const ARROWS = { up: "▲", down: "▼", flat: "=" };

document.addEventListener("bw:live", ({ detail }) => {
  for (const tile of document.querySelectorAll(".tile[data-metric]:not([data-live='off'])")) {
    const fresh = detail.values?.[tile.dataset.metric];
    if (fresh && fresh.value !== undefined) write(tile, fresh);
  }
});

function write(tile, { value, change, status }) {
  const number = tile.querySelector("[data-number]");
  if (!number) return;
  const { unit, currency, exponent } = number.dataset;
  const form = { unit, currency, exponent: Number(exponent) };
  const amount = value === null ? null : Number(value);
  number.value = value ?? "";
  const text = brief(amount, form), exact = shown(amount, form);
  number.textContent = text;
  if (exact === text) number.removeAttribute("title");
  else number.title = exact;
  if (status) tile.dataset.status = status;
  const moved = tile.querySelector("[data-change]");
  if (moved && change) {
    const points = change.percentage_points;
    const size = points !== null ? `${fixed(Math.abs(points), 1)} pp` : change.percent !== null ? percent(Math.abs(change.percent)) : "";
    moved.className = `change ${change.is_good === true ? "good" : change.is_good === false ? "bad" : "flat"}`;
    moved.textContent = `${ARROWS[change.direction] ?? ""} ${size}`.trim();
  }
}
