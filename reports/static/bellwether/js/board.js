// The editor of a board. Cards lie in the order of `cards`; the browser's dense grid lifts them as the server does.
import { announce } from "./announce.js";

const COLUMNS = 12, MOST_ROWS = 12;
const grid = document.getElementById("board-grid");
const form = document.getElementById("board-form");
const dialog = document.getElementById("card-dialog");
const fields = dialog.querySelector("form").elements;
const problems = document.getElementById("card-problems");
const kinds = JSON.parse(document.getElementById("board-kinds").textContent);
const board = JSON.parse(document.getElementById("board-document").textContent);
const token = form.elements.csrfmiddlewaretoken.value;
const cards = new Map(); // slot → card
let edited = null, isChanged = Boolean(document.querySelector(".notice.warning[role=alert]")), number = 0;

const columns = [...fields.only.options].map((option) => option.value).filter(Boolean);

const limit = (value, least, most) => Math.min(most, Math.max(least, Math.round(value) || least));
const slots = () => [...grid.querySelectorAll("[data-slot]")];
const nameOf = (card) => card.title || card.metric || kindName(card.kind);
const kindName = (kind) => [...fields.kind.options].find((option) => option.value === kind)?.text.split(":")[0] ?? kind;

function place(slot) {
  const card = cards.get(slot);
  card.w = limit(card.w ?? 4, 1, COLUMNS);
  card.x = limit(card.x ?? 1, 1, COLUMNS + 1 - card.w);
  card.h = limit(card.h ?? 3, 1, MOST_ROWS);
  slot.className = `slot ${card.kind}-slot bx-${card.x} bw-${card.w} bh-${card.h}`;
}

function changed(slot, words) {
  isChanged = true;
  if (slot) place(slot);
  const card = cards.get(slot);
  if (card) announce(`${nameOf(card)}: ${words ?? `column ${card.x}, place ${slots().indexOf(slot) + 1}, ${card.w} wide, ${card.h} high`}`);
  document.getElementById("board-empty").hidden = cards.size > 0;
}

function equip(slot, card) {
  cards.set(slot, card);
  slot.append(document.getElementById("slot-tools").content.cloneNode(true));
  slot.querySelector("[role=group]").setAttribute("aria-label", nameOf(card));
  slot.querySelector("[data-handle]").setAttribute("aria-label", `Move ${nameOf(card)}`);
  slot.querySelector("[data-edit]").setAttribute("aria-label", `Edit ${nameOf(card)}`);
  slot.querySelector("[data-remove]").setAttribute("aria-label", `Remove ${nameOf(card)}`);
  for (const link of slot.querySelectorAll(":scope > :not(.slot-tools) :is(a, summary, button)")) link.tabIndex = -1;
}

slots().forEach((slot, index) => equip(slot, { ...board.cards[index] }));
number = cards.size;

// --- Moving: by arrow keys on the handle, by dragging it -------------------------------------------------------------
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

grid.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (!step || !event.target.matches("[data-handle]") || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const slot = event.target.closest("[data-slot]"), card = cards.get(slot);
  if (event.shiftKey) {
    card.w += step[0];
    card.h += step[1];
  } else if (step[0]) card.x += step[0];
  else {
    const other = step[1] < 0 ? slot.previousElementSibling : slot.nextElementSibling;
    if (other) step[1] < 0 ? other.before(slot) : other.after(slot);
    event.target.focus();
  }
  changed(slot);
});

function cell(event) {
  const box = grid.getBoundingClientRect(), style = getComputedStyle(grid);
  const gap = parseFloat(style.columnGap), inner = box.width - parseFloat(style.paddingLeft) * 2;
  return { column: (event.clientX - box.left - parseFloat(style.paddingLeft)) / ((inner + gap) / COLUMNS), y: event.clientY };
}

grid.addEventListener("pointerdown", (event) => {
  const grip = event.target.closest("[data-handle], [data-corner]");
  if (!grip || event.button) return;
  const slot = grip.closest("[data-slot]"), card = cards.get(slot), box = slot.getBoundingClientRect();
  const from = cell(event), begun = { ...card }, row = (box.height + 12) / card.h, isMove = grip.matches("[data-handle]");
  slot.dataset.moving = "";
  const follow = (move) => {
    const to = cell(move), columns = Math.round(to.column - from.column);
    if (isMove) {
      card.x = begun.x + columns;
      const over = slots().find((other) => other !== slot && inside(other.getBoundingClientRect(), move));
      if (over) move.clientY < middle(over) ? over.before(slot) : over.after(slot);
    } else {
      card.w = limit(begun.w + columns, 1, COLUMNS + 1 - begun.x);
      card.h = begun.h + Math.round((to.y - from.y) / row);
    }
    place(slot);
  };
  // Heard by the document: a card that changes its place among its neighbours loses the pointer's capture.
  const drop = () => {
    for (const [name, heard] of heardWhileDragging) document.removeEventListener(name, heard);
    delete slot.dataset.moving;
    changed(slot);
  };
  const heardWhileDragging = [["pointermove", follow], ["pointerup", drop], ["pointercancel", drop]];
  for (const [name, heard] of heardWhileDragging) document.addEventListener(name, heard);
  event.preventDefault(); // no text is selected on the way
  grip.focus();
});

const inside = (box, { clientX: x, clientY: y }) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
const middle = (slot) => { const box = slot.getBoundingClientRect(); return box.top + box.height / 2; };

// --- Adding, changing, removing --------------------------------------------------------------------------------------
grid.addEventListener("click", (event) => {
  const slot = event.target.closest("[data-slot]");
  if (event.target.closest("[data-edit]")) open(slot);
  if (event.target.closest("[data-remove]")) {
    const next = slot.nextElementSibling ?? slot.previousElementSibling, name = nameOf(cards.get(slot));
    cards.delete(slot);
    slot.remove();
    changed(null);
    announce(`${name} removed`);
    (next?.querySelector("[data-handle]") ?? document.getElementById("add-card")).focus();
  }
});

document.getElementById("add-card").addEventListener("click", () => open(null));

function open(slot) {
  edited = slot;
  const [w, h] = kinds.tile, last = cards.get(slots().at(-1)), beside = last ? last.x + last.w : 1;
  const card = slot ? cards.get(slot) : { kind: "tile", w, h, x: beside + w - 1 > COLUMNS ? 1 : beside };
  const values = { ...card, by: card.query?.by ?? "", only: columns.find((name) => card.query?.[name]) ?? "", is: card.query?.[columns.find((name) => card.query?.[name])] ?? "", period: card.query?.period ?? "", place: slot ? slots().indexOf(slot) + 1 : cards.size + 1 };
  for (const name of ["kind", "metric", "goal", "text", "title", "by", "period", "only", "is", "x", "w", "h", "place"]) if (fields[name]) fields[name].value = values[name] ?? "";
  if (!fields.goal.value) fields.goal.selectedIndex = 0;
  document.getElementById("card-dialog-title").textContent = slot ? `Edit ${nameOf(card)}` : "Add a card";
  problems.hidden = true;
  show();
  dialog.showModal();
}

function show() {
  for (const label of dialog.querySelectorAll("[data-for]")) label.hidden = !label.dataset.for.split(" ").includes(fields.kind.value);
}
fields.kind.addEventListener("change", () => {
  show();
  if (fields.kind.value === "table" && !fields.by.value) fields.by.value = "country";
  if (!edited) [fields.w.value, fields.h.value] = kinds[fields.kind.value];
});

function read() {
  const kind = fields.kind.value, has = (name) => !fields[name].closest("[data-for]") || !fields[name].closest("[data-for]").hidden;
  const query = { ...(edited ? cards.get(edited).query : {}) };
  for (const name of ["by", "period"]) {
    if (has(name) && fields[name].value) query[name] = fields[name].value;
    else if (name === "by" || !fields[name].value) delete query[name];
  }
  if (query.period) { delete query.from; delete query.to; }
  for (const name of columns) delete query[name];
  if (has("only") && fields.only.value && fields.is.value.trim()) query[fields.only.value] = fields.is.value.trim();
  const card = { kind, query, x: limit(fields.x.value, 1, COLUMNS), w: limit(fields.w.value, 1, COLUMNS), h: limit(fields.h.value, 1, MOST_ROWS) };
  card.x = limit(card.x, 1, COLUMNS + 1 - card.w);
  for (const name of ["metric", "goal", "text"]) if (has(name)) card[name] = fields[name].value.trim();
  if (fields.title.value.trim()) card.title = fields.title.value.trim();
  return card;
}

dialog.querySelector("form").addEventListener("submit", async (event) => {
  if (event.submitter?.value !== "apply") return;
  event.preventDefault();
  const card = read(), answer = await ask(card);
  if (answer.problems) {
    problems.textContent = answer.problems.join(" ");
    problems.hidden = false;
    return;
  }
  const slot = edited ?? document.createElement("div"), at = Number(fields.place.value);
  slot.dataset.slot = "";
  slot.innerHTML = answer.html; // our own server's card: it escapes what people wrote
  equip(slot, card);
  const others = slots().filter((other) => other !== slot), before = others[limit(at, 1, others.length + 1) - 1];
  before ? before.before(slot) : grid.append(slot);
  changed(slot);
  dialog.close();
  slot.querySelector("[data-handle]").focus();
});

async function ask(card) {
  try {
    const answer = await fetch(grid.dataset.preview, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token, "X-Card": String(number++) },
      body: JSON.stringify({ query: question(), card }),
    });
    if (answer.ok) return { html: await answer.text() };
    if (answer.status === 400) return await answer.json();
    return { problems: [`The server answered ${answer.status}. Request ${answer.headers.get("X-Request-ID") ?? "unknown"}.`] };
  } catch {
    return { problems: ["The server did not answer. Try again."] };
  }
}

// --- Saving ----------------------------------------------------------------------------------------------------------
function question() {
  const query = { ...board.query };
  for (const name of ["period", "compare"]) {
    if (form.elements[name].value) query[name] = form.elements[name].value;
    else delete query[name];
  }
  if (query.period) { delete query.from; delete query.to; }
  return query;
}

form.addEventListener("submit", () => {
  const { title, description, visibility } = form.elements;
  const placed = slots().map((slot, index) => ({ ...cards.get(slot), y: index + 1 }));
  form.elements.document.value = JSON.stringify({
    title: title.value, description: description.value, visibility: visibility.value, query: question(), cards: placed,
  });
  isChanged = false;
});
form.addEventListener("input", () => { isChanged = true; });
addEventListener("beforeunload", (event) => { if (isChanged) event.preventDefault(); });

// Now that all of it is heard.
for (const button of document.querySelectorAll("[data-until-ready]")) button.disabled = false;
