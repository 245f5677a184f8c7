// <kpi-chart data-source="id of a JSON script"> or <kpi-chart src="series API">: draws what the server has drawn small.
import { announce } from "./announce.js";
import { moment, shown } from "./format.js";
import { options } from "./options.js";

let library;

// ECharts comes after everything that can be read without it, and once.
function echarts() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.querySelector('meta[name="bw-echarts"]').content;
    script.onload = () => resolve(globalThis.echarts);
    script.onerror = () => reject(new Error("the chart library did not load"));
    document.head.append(script);
  });
  return library;
}

class KpiChart extends HTMLElement {
  #chart;
  #data;
  #place = -1;
  #seen;
  #sized;

  connectedCallback() {
    this.#seen = new IntersectionObserver(([entry]) => entry.isIntersecting && this.#begin(), { rootMargin: "200px" });
    this.#seen.observe(this);
    document.addEventListener("bw:theme", this.#redraw);
    for (const name of ["beforeprint", "afterprint"]) addEventListener(name, this.#placeMarks);
  }

  disconnectedCallback() {
    this.#seen?.disconnect();
    this.#sized?.disconnect();
    this.#chart?.dispose();
    this.#chart = undefined;
    document.removeEventListener("bw:theme", this.#redraw);
    for (const name of ["beforeprint", "afterprint"]) removeEventListener(name, this.#placeMarks);
  }

  // What is drawn; setting it draws anew, at once, with the cursor on the moment where it was (live updates, boards).
  get data() {
    return this.#data;
  }

  set data(data) {
    const at = this.#data?.starts[this.#place];
    this.#data = data;
    this.#place = at === undefined ? -1 : data.starts.indexOf(at);
    if (!this.#chart) return;
    this.#redraw(false);
    if (this.#place >= 0 && document.activeElement === this) this.#tip();
  }

  async download(name) {
    await this.#begin();
    const link = document.createElement("a");
    link.download = `${name}.png`;
    link.href = this.#chart.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: getComputedStyle(this.closest(".card") ?? this).backgroundColor });
    link.click();
  }

  async #begin() {
    this.#seen.disconnect();
    if (this.#chart) return;
    try {
      this.#data ??= await this.#read();
      const { init } = await echarts();
      if (!this.isConnected || this.#chart || !this.#data) return;
      this.#draw(init);
    } catch {
      this.dataset.failed = ""; // the server's drawing and the table stay
    }
  }

  async #read() {
    const source = document.getElementById(this.dataset.source ?? "");
    if (source) return JSON.parse(source.textContent);
    const answer = await fetch(this.getAttribute("src"), { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status);
    return fromApi(await answer.json());
  }

  #draw(init) {
    const canvas = document.createElement("div");
    canvas.className = "canvas";
    this.append(canvas);
    this.#chart = init(canvas, null, { renderer: "canvas" });
    this.#redraw();
    this.dataset.drawn = "";
    this.#sized = new ResizeObserver(() => {
      this.#chart?.resize();
      this.#placeMarks();
    });
    this.#sized.observe(this);
    this.tabIndex = 0;
    this.setAttribute("role", "application");
    this.setAttribute("aria-roledescription", "chart");
    this.addEventListener("keydown", this.#key);
    this.addEventListener("blur", () => this.#chart?.dispatchAction({ type: "hideTip" }));
    this.#chart.getZr().on("click", ({ offsetX, offsetY }) => {
      if (!this.#chart.containPixel("grid", [offsetX, offsetY])) return;
      this.#place = Math.round(this.#chart.convertFromPixel("grid", [offsetX, offsetY])[0]);
      this.#offerNote();
    });
    const legend = this.#card?.querySelector(".legend");
    for (const name of ["pointerover", "pointerout"]) legend?.addEventListener(name, (event) => this.#point(event));
  }

  get #card() {
    return this.closest(".card");
  }

  // `true` or an event of the theme: as it likes; `false`: without any motion.
  #redraw = (isMoving) => {
    if (!this.#chart) return;
    const isAnimated = isMoving !== false && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#chart.setOption(options(this.#data, colours(this), isAnimated), true);
    this.#placeMarks();
  };

  // A line comes forward while the pointer is on its entry of the legend.
  #point({ type, target }) {
    const place = [...this.#card.querySelectorAll(".legend > li")].indexOf(target.closest("li"));
    const seriesName = this.#data.parts?.[place]?.name;
    if (seriesName !== undefined) this.#chart.dispatchAction({ type: type === "pointerover" ? "highlight" : "downplay", seriesName });
  }

  // The marks of annotations stand over their points, beside each other where they would overlap.
  // On paper, where the server's drawing takes the canvas's place, they go back to where the server put them.
  #placeMarks = ({ type } = {}) => {
    const strip = this.#card?.querySelector(".note-marks");
    if (!this.#chart || !strip?.childElementCount) return;
    const isDrawn = type !== "beforeprint" && this.#chart.getWidth() > 0;
    let last = -Infinity;
    for (const mark of strip.querySelectorAll(".note-mark")) {
      mark.dataset.x ??= mark.getAttribute("x");
      if (!isDrawn) {
        mark.setAttribute("x", mark.dataset.x);
        continue;
      }
      last = Math.max(this.#chart.convertToPixel({ xAxisIndex: 0 }, Number(mark.dataset.place)), last + 24);
      mark.setAttribute("x", last);
    }
    strip.dataset.placed = "";
  };

  #tip() {
    this.#chart.dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: this.#place });
  }

  // Something can be written down at the point that was chosen.
  #offerNote() {
    const link = this.#card?.querySelector("[data-add-note]");
    if (!link) return;
    const { starts, granularity, timezone } = this.#data, url = new URL(link.href);
    url.searchParams.set("at", starts[this.#place]);
    link.href = url.pathname + url.search;
    link.textContent = `Add an annotation at ${moment(starts[this.#place], granularity, timezone)}`;
    link.hidden = false;
  }

  #key = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.#data.starts.length - 1;
    if (event.key === "n" && this.#place >= 0) this.#card?.querySelector("[data-add-note]:not([hidden])")?.click();
    const moves = { ArrowLeft: this.#place - 1, ArrowRight: this.#place + 1, Home: 0, End: last };
    if (!(event.key in moves)) return;
    event.preventDefault();
    event.stopPropagation();
    this.#place = Math.min(Math.max(moves[event.key], 0), last);
    this.#tip();
    this.#offerNote();
    announce(this.#spoken(this.#place));
  };

  #spoken(place) {
    const { starts, values, before, open = [], granularity, timezone } = this.#data;
    const parts = [`${moment(starts[place], granularity, timezone)}: ${shown(values[place], this.#data)}`];
    if (open.includes(place)) parts.push("not complete");
    for (const part of this.#data.parts ?? []) parts.push(`${part.name} ${shown(part.values[place], this.#data)}`);
    if (before?.[place] !== undefined) parts.push(`before ${shown(before[place], this.#data)}`);
    return parts.join(", ");
  }
}

// The answer of the series API in the form that charts draw.
export function fromApi(answer) {
  const values = (points) => points.map(({ value }) => (value === null ? null : Number(value)));
  return {
    ...answer,
    name: answer.metric,
    starts: answer.points.map(({ start }) => start),
    values: values(answer.points),
    open: answer.points.flatMap(({ is_complete: isComplete }, place) => (isComplete ? [] : [place])),
    before: answer.comparison ? values(answer.comparison.points) : undefined,
    before_starts: answer.comparison?.points.map(({ start }) => start),
  };
}

// Tokens may be light-dark(): only a computed colour says which one holds.
function colours(element) {
  const probe = document.createElement("i");
  element.append(probe);
  const names = ["series-1", "series-2", "series-3", "series-4", "series-5", "before", "goal", "line", "line-strong", "muted", "text", "raised", "bad", "warn", "accent"];
  const found = Object.fromEntries(names.map((name) => {
    probe.className = `tint-${name}`;
    return [name, getComputedStyle(probe).color];
  }));
  probe.remove();
  found.font = getComputedStyle(element).fontFamily;
  return found;
}

customElements.define("kpi-chart", KpiChart);
