// Small behaviours of every page. All of it is an addition: pages work without.
import "./chart.js";
import "./fresh.js";
import "./region.js";
import "./tiles.js";
import { tell } from "./announce.js";

const root = document.documentElement;

// Menus are <details>: close them from outside, by Escape, and one at a time.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
  }
});
document.addEventListener("focusout", (event) => {
  const menu = event.target.closest?.("details[data-menu][open]");
  if (menu && event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
});

// The theme changes at once; the cookie keeps it for the next page.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-theme-form]");
  if (!form || !event.submitter) return;
  event.preventDefault();
  const theme = event.submitter.value;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `bw_theme=${theme}; path=/; max-age=31536000; samesite=lax${secure}`;
  root.dataset.theme = theme;
  document.querySelector('meta[name="color-scheme"]').content = theme === "auto" ? "light dark" : theme;
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", button.value === theme);
  document.dispatchEvent(new CustomEvent("bw:theme"));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("bw:theme")));

// Actions of cards.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-action]");
  if (!button) return;
  if (button.dataset.action === "copy") {
    const text = new URL(button.dataset.target, location.origin).href;
    await copy(`curl -H "Authorization: Bearer $SK" "${text}"`, button);
  } else if (button.dataset.action === "copy-text") {
    await copy(document.getElementById(button.dataset.target).textContent, button);
  } else if (button.dataset.action === "png") {
    await button.closest(".card").querySelector("kpi-chart")?.download(button.dataset.target);
  }
  const menu = button.closest("details[data-menu]");
  if (menu) menu.open = false;
});

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    tell("Copied");
  } catch {
    // Without a secure context there is no clipboard: show the text, selected.
    prompt(button.textContent.trim(), text);
  }
}

// An error of a fragment says so where the fragment would be.
document.addEventListener("htmx:responseError", (event) => failed(event.detail));
document.addEventListener("htmx:sendError", (event) => failed(event.detail));

function failed({ target, elt, xhr }) {
  const card = document.getElementById("error-card")?.content.firstElementChild.cloneNode(true);
  if (!card || !target || elt.getAttribute("hx-swap") === "none") return; // what only waits, waits on
  const id = xhr?.getResponseHeader?.("X-Request-ID");
  card.querySelector("[data-request-id]").textContent = id ? `Request ${id}` : "The server did not answer.";
  card.querySelector("button").addEventListener("click", () => {
    card.remove();
    htmx.ajax("GET", elt.getAttribute("hx-get"), { source: elt, target, swap: elt.getAttribute("hx-swap") ?? "innerHTML" });
  });
  target.replaceChildren(card);
}
