// Shortcuts and the command palette. Single keys can be switched off; keys with modifiers and keys while typing are left alone.
import { tell } from "./announce.js";

const COOKIE = "bw_keys";
const isOff = () => document.cookie.split("; ").includes(`${COOKIE}=off`);
const LIST = [
  ["?", "This list"], ["/", "Search"], ["Ctrl K", "Go to any metric, page, board, goal, segment"], ["←", "Earlier period"], ["→", "Later period"],
  ["x", "Compare, or stop comparing"], ["f", "This page alone on a screen"], ["n", "Annotation at the chosen point of a chart"], ["e", "Edit this board"], ["Esc", "Close, or leave the kiosk"],
];
let index = null, palette = null, help = null, chosen = 0;

const made = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

function style() {
  if (document.querySelector('link[href*="keys.css"]')) return Promise.resolve();
  const link = made("link", { rel: "stylesheet", href: new URL("../css/keys.css", import.meta.url).href });
  document.head.append(link);
  return new Promise((done) => { link.onload = link.onerror = done; });
}

// --- Keys ------------------------------------------------------------------------------------------------------------
const ACTIONS = { "?": showHelp, "/": search, ArrowLeft: () => move(-1), ArrowRight: () => move(1), x: compare };

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    showPalette();
    return;
  }
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || (isOff() && event.key !== "Escape")) return;
  if (document.querySelector("dialog[open]") || isTaken(event)) return;
  const link = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
  const action = ACTIONS[event.key] ?? (link && (() => link.click()));
  if (!action || (event.shiftKey && event.key !== "?" && event.key !== "/")) return;
  if (action() !== false) event.preventDefault();
});

function isTaken({ target, key }) {
  if (target.closest?.("input, textarea, select, [contenteditable]")) return true;
  return key.startsWith("Arrow") && Boolean(target.closest?.("kpi-chart, [data-handle], [role=radiogroup], [role=tablist], .scroll, details[open]"));
}

function search() {
  const field = document.querySelector('main input[type="search"]');
  if (!field) return showPalette();
  field.focus();
  field.select();
}

const DAY = 86400000, dated = (date) => date.toISOString().slice(0, 10);

function move(step) {
  const first = document.querySelector('.toolbar input[name="first"]'), last = document.querySelector('.toolbar input[name="last"]');
  if (!first || !last) return false;
  let from = new Date(first.value), to = new Date(Date.parse(last.value) + DAY);
  const isMonths = from.getUTCDate() === 1 && to.getUTCDate() === 1;
  if (isMonths) {
    const months = (to.getUTCFullYear() - from.getUTCFullYear()) * 12 + to.getUTCMonth() - from.getUTCMonth();
    [from, to] = [from, to].map((date) => new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + step * months, 1)));
  } else [from, to] = [new Date(+from + step * (to - from)), new Date(+to + step * (to - from))];
  if (step > 0 && from > Date.now()) {
    tell("That lies in the future.");
    return true;
  }
  const url = new URL(location.href);
  url.searchParams.delete("period");
  url.searchParams.delete("days");
  url.searchParams.set("from", dated(from));
  url.searchParams.set("to", dated(to));
  location.assign(url);
}

function compare() {
  if (!document.querySelector(".toolbar")) return false;
  const url = new URL(location.href);
  if (url.searchParams.get("compare") === "none") url.searchParams.delete("compare");
  else url.searchParams.set("compare", "none");
  location.assign(url);
}

// --- The list --------------------------------------------------------------------------------------------------------
async function showHelp() {
  await style();
  if (!help) {
    const list = made("dl", { class: "keys" });
    for (const [key, words] of LIST) {
      const keys = key.split(" ").flatMap((each, place) => [place ? " " : "", made("kbd", {}, each)]);
      list.append(made("dt", {}, ...keys), made("dd", {}, words));
    }
    const box = made("input", { type: "checkbox" });
    box.addEventListener("change", () => {
      const secure = location.protocol === "https:" ? "; secure" : "";
      document.cookie = `${COOKIE}=${box.checked ? "on" : "off"}; path=/; max-age=31536000; samesite=lax${secure}`;
    });
    help = made("dialog", { "aria-labelledby": "keys-title" }, made("h2", { id: "keys-title" }, "Keyboard shortcuts"), list,
      made("form", { method: "dialog", class: "row" }, made("label", { class: "line" }, box, "Single-key shortcuts are on"), made("span", { class: "grow" }), made("button", { class: "button" }, "Close")));
    document.body.append(help);
  }
  help.querySelector("input").checked = !isOff();
  help.showModal();
}
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-shortcuts]")) showHelp();
  if (event.target.closest("[data-palette]")) showPalette();
});

// --- The palette -----------------------------------------------------------------------------------------------------
async function showPalette() {
  await style();
  if (!palette) build();
  palette.querySelector("input").value = "";
  palette.showModal();
  try {
    index ??= await (await fetch("/palette.json", { headers: { Accept: "application/json" } })).json();
  } catch {
    palette.querySelector("p").textContent = "The server did not answer. Close and try again.";
    palette.querySelector("p").hidden = false;
    return;
  }
  fill();
}

function build() {
  const list = made("ul", { role: "listbox", id: "palette-list", "aria-label": "Where to" });
  const field = made("input", { type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-autocomplete": "list", "aria-label": "Go to", placeholder: "Go to a metric, a page, a board, a goal …", autocomplete: "off", spellcheck: "false" });
  palette = made("dialog", { class: "palette", "aria-label": "Go to" }, field, list, made("p", { hidden: "", role: "status" }));
  field.addEventListener("input", () => { chosen = 0; fill(); });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); choose(chosen + step); }
    if (event.key === "Enter") { event.preventDefault(); list.children[chosen]?.click(); }
  });
  list.addEventListener("click", (event) => {
    const href = event.target.closest("li")?.dataset.href;
    if (href) location.assign(href);
  });
  palette.addEventListener("click", (event) => { if (event.target === palette) palette.close(); });
  document.body.append(palette);
}

function fill() {
  const words = palette.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
  const score = ([title, kind, href]) => {
    const text = `${title} ${kind} ${href}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) return -1;
    return words.length && title.toLowerCase().startsWith(words[0]) ? 2 : 1;
  };
  const kiosk = document.querySelector('a[data-key="f"]'); // the one entry that depends on the page
  const all = kiosk ? [...index, ["Kiosk: this page alone on a screen", "Action", kiosk.getAttribute("href")]] : index;
  const found = all.map((entry) => [score(entry), entry]).filter(([rank]) => rank > 0).sort((a, b) => b[0] - a[0] || (words.length ? a[1][0].length - b[1][0].length : 0)).slice(0, 40);
  const list = palette.querySelector("ul"), none = palette.querySelector("p");
  list.replaceChildren(...found.map(([, [title, kind, href]], place) => {
    const item = made("li", { role: "option", id: `palette-${place}` }, made("span", {}, title), made("small", {}, kind));
    item.dataset.href = href;
    return item;
  }));
  none.textContent = found.length ? "" : "Nothing of that name.";
  none.hidden = found.length > 0;
  choose(Math.min(chosen, found.length - 1));
}

function choose(place) {
  const items = [...palette.querySelectorAll("li")];
  if (!items.length) return;
  chosen = (place + items.length) % items.length;
  items.forEach((item, at) => item.setAttribute("aria-selected", String(at === chosen)));
  items[chosen].scrollIntoView({ block: "nearest" });
  palette.querySelector("input").setAttribute("aria-activedescendant", items[chosen].id);
}

// --- Walls of screens: the same page anew or the next board after a while, unless somebody pauses -----------------------
const wall = document.querySelector("[data-kiosk]");
if (wall) {
  const pause = wall.querySelector("[data-pause]"), wait = Number(wall.dataset.seconds) * 1000;
  let timer = setTimeout(next, wait);
  // Nobody stands there to load it again: a page is left only for one that answers.
  async function next() {
    try {
      const answer = await fetch(wall.dataset.kiosk, { method: "HEAD", cache: "no-store" });
      if (answer.status < 500 && timer) return location.replace(wall.dataset.kiosk);
    } catch {}
    timer &&= setTimeout(next, wait);
  }
  pause.addEventListener("click", () => {
    const isOn = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(isOn));
    timer = clearTimeout(timer);
    if (!isOn) timer = setTimeout(next, wait);
  });
}
