// <live-badge data-query="period=today&compare=previous" data-range="" data-period="5">
//
// Keeps the numbers of a page moving: every [data-metric] (without data-live="off") is subscribed at /ws/live/ under the
// badge's question. News go out as `bw:live` on document: {values, as_of, data_through, state, source}. While there is no
// socket it asks the API, which answers 304 as long as nothing has changed. data-state: live, polling, stale, off.
import { announce } from "./js/announce.js";

const STALE = 60_000; // without a sign that the numbers are true, in milliseconds
const SNAPSHOT = 10_000;
const CHUNK = 60; // metrics of a subscription
const ACTIVE_TICKS = 20;
const WORDS = { live: "Live", polling: "Polling", off: "Signed out" };
const still = matchMedia("(prefers-reduced-motion: reduce)");

class LiveBadge extends HTMLElement {
  static observedAttributes = ["data-query", "data-range", "data-period"];
  #socket = null;
  #timers = {};
  #abort = null;
  #seq = 0;
  #asked = false; // for what is missing
  #misses = 0;
  #isPolling = false;
  #ticks = 0;
  #tag = "";
  #wanted = "";
  #asOf = "";
  #freshAt = performance.now();
  #state = "";

  connectedCallback() {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const on = (target, names, work) => names.forEach((name) => target.addEventListener(name, work, { signal, passive: true }));
    on(document, ["visibilitychange"], () => this.#woken());
    on(document, ["pointerdown", "keydown"], () => (this.#ticks = 0));
    on(document, ["htmx:afterSettle", "bw:tiles"], () => this.#follow());
    on(window, ["pagehide"], () => this.#end());
    on(window, ["pageshow", "online"], () => this.#woken());
    this.#timers.look = setInterval(() => this.#show(this.#state), 5_000);
    this.#follow();
  }

  disconnectedCallback() {
    this.#abort?.abort();
    this.#end();
    Object.values(this.#timers).forEach(clearTimeout);
    this.#timers = {};
    this.#wanted = "";
  }

  attributeChangedCallback() {
    if (this.#timers.look) this.#follow();
  }

  // --- What is asked ------------------------------------------------------------------------------------------------

  get #metrics() {
    const tiles = document.querySelectorAll("[data-metric]:not([data-live='off'])");
    return [...new Set([...tiles].map((tile) => tile.dataset.metric))].filter(Boolean).slice(0, 5 * CHUNK);
  }

  get #question() {
    const { range, query } = this.dataset;
    return range ? { range } : { query: (query ?? location.search).replace(/^\?/, "") || "period=today" };
  }

  #follow() {
    const metrics = this.#metrics;
    const wanted = JSON.stringify([metrics, this.#question, this.dataset.period]);
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#tag = "";
    this.hidden = !metrics.length;
    if (!metrics.length) return this.#end();
    if (this.#socket?.readyState === WebSocket.OPEN) this.#subscribe();
    else if (!this.#socket) this.#open();
  }

  #subscribe() {
    const metrics = this.#metrics;
    const period = Math.min(300, Math.max(1, Number(this.dataset.period) || 5));
    for (let n = 0; n < 5; n += 1) {
      const part = metrics.slice(n * CHUNK, (n + 1) * CHUNK);
      const id = n ? String(n) : "";
      if (part.length) this.#say({ type: "subscribe", id, metrics: part, period, ...this.#question });
      else if (n) this.#say({ type: "unsubscribe", id });
    }
  }

  // --- The socket ---------------------------------------------------------------------------------------------------

  #open() {
    clearTimeout(this.#timers.open);
    if (this.#socket || document.hidden || !this.isConnected) return;
    const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws/live/`);
    this.#socket = socket;
    this.#asked = false;
    this.#watch(SNAPSHOT);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#hear(JSON.parse(data));
    socket.onclose = () => socket === this.#socket && this.#lost();
  }

  #say(message) {
    this.#socket?.send(JSON.stringify(message));
  }

  // A socket that says nothing is as good as closed; close() alone may wait for a peer that has gone.
  #watch(milliseconds) {
    clearTimeout(this.#timers.watch);
    this.#timers.watch = setTimeout(() => this.#lost(), milliseconds);
  }

  #hear(message) {
    const { type, seq } = message;
    if (type !== "hello") this.#watch(40_000);
    if (type === "hello") this.#subscribe();
    else if (type === "resync") [this.#seq, this.#asked] = [seq, false];
    else if (type === "resumed") this.#asked = false;
    else if (type === "snapshot" || type === "delta") this.#take(message);
    else if (type === "beat") {
      if (seq > this.#seq) this.#resume();
      this.#fresh(message.as_of);
      if (this.#seq) this.#show("live");
    } else if (type === "error") console.warn(`live: ${message.message}`);
  }

  #take(message) {
    if (message.seq <= this.#seq) return;
    if (message.seq > this.#seq + 1) return this.#resume();
    this.#seq = message.seq;
    this.#misses = 0;
    this.#rest();
    this.#tag = "";
    this.#fresh(message.as_of);
    this.#show("live");
    this.#tell("socket", message, message.type === "delta");
  }

  #resume() {
    if (!this.#asked) this.#say({ type: "resume", seq: this.#seq });
    this.#asked = true;
  }

  #lost() {
    if (this.#seq) this.#ticks = 0;
    this.#drop();
    if (!this.isConnected || !this.#metrics.length) return;
    const wait = Math.min(30_000, 1_000 * 2 ** this.#misses) * (0.5 + Math.random());
    this.#misses += 1;
    this.#timers.open = setTimeout(() => this.#open(), wait);
    if (!this.#isPolling) this.#poll();
  }

  #drop() {
    for (const name of ["watch", "open"]) clearTimeout(this.#timers[name]);
    const socket = this.#socket;
    this.#socket = null;
    this.#seq = 0;
    socket?.close();
  }

  #rest() {
    clearTimeout(this.#timers.poll);
    this.#isPolling = false;
  }

  #end() {
    this.#rest();
    this.#drop();
  }

  #woken() {
    if (document.hidden || this.hidden) return;
    this.#ticks = 0;
    if (!this.#socket) this.#open();
    if (this.#state !== "live") this.#poll();
    this.#show(this.#state);
  }

  // --- Without it ---------------------------------------------------------------------------------------------------

  async #poll() {
    this.#rest();
    if (document.hidden || !this.isConnected) return;
    this.#isPolling = true;
    const wanted = this.#wanted;
    try {
      const answer = await fetch(this.#address(), { headers: this.#tag ? { "If-None-Match": this.#tag } : {}, cache: "no-store" });
      if (wanted !== this.#wanted || !this.#isPolling) return;
      if (answer.status === 401 || answer.status === 403) {
        this.#rest();
        return this.#show("off");
      }
      if (answer.status !== 304 && !answer.ok) throw new Error(answer.status);
      this.#fresh(new Date().toISOString());
      this.#show("polling");
      if (answer.ok) {
        const isNews = Boolean(this.#tag);
        this.#tag = answer.headers.get("ETag") ?? "";
        this.#ticks = 0;
        this.#tell("poll", read(await answer.json()), isNews);
      }
    } catch {
      this.#show("polling");
    } finally {
      this.#ticks += 1;
      clearTimeout(this.#timers.poll);
      if (this.#isPolling) this.#timers.poll = setTimeout(() => this.#poll(), this.#ticks < ACTIVE_TICKS ? 3_000 : 60_000);
    }
  }

  #address() {
    const { range, query } = this.#question;
    const wanted = new URLSearchParams(range === "realtime" ? "" : range ? { period: range } : query);
    for (const name of ["granularity", "by", "limit"]) wanted.delete(name);
    wanted.set("metrics", this.#metrics.join());
    if (range !== "realtime") wanted.set("granularity", "total");
    return `/api/v1/kpis/${range === "realtime" ? "realtime" : "overview"}/?${wanted}`;
  }

  // --- What people see ----------------------------------------------------------------------------------------------

  #tell(source, { values, as_of, data_through }, isNews) {
    for (const metric of isNews && !still.matches ? Object.keys(values) : []) {
      for (const tile of document.querySelectorAll(`[data-metric="${CSS.escape(metric)}"]`)) {
        tile.dataset.changed = "";
        setTimeout(() => delete tile.dataset.changed, 2_000);
      }
    }
    const detail = { values, as_of, data_through, state: this.#state, source };
    document.dispatchEvent(new CustomEvent("bw:live", { detail }));
  }

  // The same moment twice is no news: the server repeats it while it cannot ask its database. No clocks are compared.
  #fresh(moment) {
    if (moment && moment !== this.#asOf) [this.#asOf, this.#freshAt] = [moment, performance.now()];
  }

  #show(state) {
    if (!state) return;
    const age = performance.now() - this.#freshAt;
    const shown = state !== "off" && age > STALE ? "stale" : state;
    const text = WORDS[shown] ?? `Stale ${Math.floor(age / 60_000)} min`;
    const before = this.dataset.state;
    this.#state = state;
    if (text !== this.textContent) this.textContent = text;
    if (shown === before) return;
    this.dataset.state = shown;
    if (shown === "stale") announce("Numbers are not up to date");
    else if (shown === "off") announce("Signed out: numbers no longer move");
    else if (before === "stale") announce("Numbers are up to date again");
  }
}

function read({ items, computed_at }) {
  const values = {};
  for (const { metric, total, comparison, status, is_complete, is_partial, unit, currency } of items) {
    values[metric] = { value: total, change: comparison?.change ?? null, status, is_complete, is_partial, unit, currency };
  }
  return { values, as_of: computed_at, data_through: items[0]?.data_through ?? null };
}

customElements.define("live-badge", LiveBadge);
