// Pages follow the live numbers. When one has moved, the page (or a card that stands alone) is asked for again, and only
// what differs is put in its place: what is open, scrolled, focused or selected stays so.
const LEAST = 8_000; // between two questions, in milliseconds
const SHARE = 20; // no more than this part of the time goes into answering one screen
const MINUTE = 60_000;
const states = new WeakMap(); // what is asked again → when and why
const written = new WeakMap(); // a part → what the server last said there; live numbers may be ahead of it
const seen = new IntersectionObserver((entries) => entries.forEach(({ isIntersecting, target }) => {
  states.get(target).isSeen = isIntersecting;
  plan(target);
}), { rootMargin: "300px" });

const roots = () => document.querySelectorAll("[data-refresh]");
for (const part of document.querySelectorAll("[data-fresh]")) written.set(part, part.innerHTML);

document.addEventListener("bw:live", ({ detail }) => {
  for (const root of roots()) {
    const state = known(root);
    for (const [metric, { value }] of Object.entries(detail.values ?? {})) {
      if (value === undefined || !state.totals.has(metric)) continue;
      const total = value === null ? null : Number(value), before = state.totals.get(metric);
      state.totals.set(metric, total);
      if (before !== undefined && total !== before) state.isDue = true;
    }
    plan(root);
  }
});
document.addEventListener("visibilitychange", () => roots().forEach(plan));

// "Last 30 days" is another range tomorrow: once the day is over, the answer says so, and the page begins anew.
setInterval(() => {
  for (const root of roots()) {
    if (!root.dataset.until || Date.now() < Date.parse(root.dataset.until)) continue;
    known(root).isDue = true;
    plan(root);
  }
}, MINUTE);

function known(root) {
  if (!states.has(root)) {
    const totals = new Map();
    for (const card of [root, ...root.querySelectorAll("[data-metric]:not([data-live='off'])")]) {
      const metric = card.dataset.metric;
      if (metric) totals.set(metric, totals.get(metric) ?? totalOf(card));
    }
    states.set(root, { totals, next: 0, isSeen: true });
    seen.observe(root);
  }
  return states.get(root);
}

// As the page was written; undefined for a table, which has none.
function totalOf(card) {
  const number = card.querySelector("[data-number]"), data = card.querySelector("script[type='application/json']");
  if (number) return number.value === "" ? null : Number(number.value);
  return data ? JSON.parse(data.textContent).total : undefined;
}

function plan(root) {
  const state = states.get(root);
  if (!state?.isDue || !state.isSeen || state.timer || document.hidden || !root.isConnected) return;
  state.timer = setTimeout(() => ask(root, state), Math.max(0, state.next - performance.now()));
}

async function ask(root, state) {
  const begun = performance.now();
  state.isDue = false;
  try {
    const answer = await fetch(root.dataset.refresh, { headers: { "HX-Request": "true" }, redirect: "error", cache: "no-store" });
    if (answer.ok) change(root, new DOMParser().parseFromString(await answer.text(), "text/html"));
    else state.isDue = answer.status >= 500;
  } catch {
    state.isDue = true; // the badge says that there is no connection
  }
  state.next = begun + Math.max(LEAST, (performance.now() - begun) * SHARE);
  state.timer = undefined;
  plan(root);
}

function change(root, fresh) {
  const until = fresh.querySelector("[data-refresh]")?.dataset.until;
  if (until && root.dataset.until && until !== root.dataset.until) return anew();
  const others = new Map([...fresh.querySelectorAll("[data-fresh]")].map((part) => [part.dataset.fresh, part]));
  for (const part of root.querySelectorAll("[data-fresh]")) {
    const other = others.get(part.dataset.fresh);
    if (other && !put(part, other)) known(root).isDue = true;
  }
  for (const chart of root.querySelectorAll("kpi-chart")) {
    const data = document.getElementById(chart.dataset.source), text = fresh.getElementById(chart.dataset.source)?.textContent;
    if (!data || !text || text === data.textContent) continue;
    data.textContent = text;
    chart.data = JSON.parse(text);
  }
}

// Whether the part says what the server says; not while somebody has selected it, perhaps to copy it.
function put(part, other) {
  const html = other.innerHTML;
  const isThere = html === written.get(part) || html === part.innerHTML;
  if (!isThere && isSelected(part)) return false;
  written.set(part, html);
  if (isThere) return true;
  const focus = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
  part.replaceChildren(...other.childNodes);
  for (const name of ["role", "aria-label"]) if (other.hasAttribute(name)) part.setAttribute(name, other.getAttribute(name));
  if (focus) part.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  return true;
}

function isSelected(part) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(part, true);
}

function anew() {
  const isBusy = document.querySelector("dialog[open], details[data-menu][open]") || document.activeElement?.matches("input, select, textarea");
  if (!isBusy) location.reload();
}
