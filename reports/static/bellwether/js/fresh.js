// Charts follow the live numbers: a card whose total has moved is asked for again and changed in place. What is open,
// scrolled or focused stays so, and what has not changed is not touched.
const LEAST = 8_000; // between two questions of one card, in milliseconds
const cards = new WeakMap();
const seen = new IntersectionObserver((entries) => entries.forEach(({ isIntersecting, target }) => {
  cards.get(target).isSeen = isIntersecting;
  plan(target);
}), { rootMargin: "300px" });

document.addEventListener("bw:live", ({ detail }) => {
  for (const card of document.querySelectorAll("[data-refresh]:not([data-live='off'])")) {
    const value = detail.values?.[card.dataset.metric]?.value;
    if (value === undefined) continue;
    const state = known(card), total = value === null ? null : Number(value);
    if (total === state.total) continue;
    state.total = total;
    state.isDue = true;
    plan(card);
  }
});
document.addEventListener("visibilitychange", () => document.querySelectorAll("[data-refresh]").forEach(plan));

function known(card) {
  if (!cards.has(card)) {
    const data = card.querySelector("script[type='application/json']");
    cards.set(card, { total: data && JSON.parse(data.textContent).total, askedAt: -LEAST, isSeen: true });
    seen.observe(card);
  }
  return cards.get(card);
}

function plan(card) {
  const state = cards.get(card);
  if (!state?.isDue || !state.isSeen || state.timer || document.hidden || !card.isConnected) return;
  state.timer = setTimeout(() => ask(card, state), Math.max(0, state.askedAt + LEAST - performance.now()));
}

async function ask(card, state) {
  state.isDue = false;
  state.askedAt = performance.now();
  try {
    const answer = await fetch(card.dataset.refresh, { headers: { "HX-Request": "true" }, redirect: "error", cache: "no-store" });
    if (answer.ok) change(card, new DOMParser().parseFromString(await answer.text(), "text/html"));
    else state.isDue = answer.status >= 500;
  } catch {
    state.isDue = true; // the badge says that there is no connection
  }
  state.timer = undefined;
  plan(card);
}

function change(card, fresh) {
  const data = fresh.querySelector("script[type='application/json']");
  if (!data) return;
  for (const part of card.querySelectorAll("[data-fresh]")) {
    const other = fresh.querySelector(`[data-fresh="${part.dataset.fresh}"]`);
    if (!other || other.innerHTML === part.dataset.was) continue;
    part.dataset.was = other.innerHTML;
    const focus = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
    part.replaceChildren(...other.childNodes);
    for (const name of ["role", "aria-label"]) if (other.hasAttribute(name)) part.setAttribute(name, other.getAttribute(name));
    if (focus) part.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus();
  }
  card.querySelector("script[type='application/json']").textContent = data.textContent;
  card.querySelector("kpi-chart").data = JSON.parse(data.textContent);
}
