// <live-region src seconds>: asks for itself again and again, with the tag of what it shows; pauses while hidden.
class LiveRegion extends HTMLElement {
  #timer;
  #tag = "";
  #misses = 0;

  connectedCallback() {
    document.addEventListener("visibilitychange", this.#turn);
    if (this.firstElementChild) this.#plan();
    else this.#ask();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.#turn);
    clearTimeout(this.#timer);
  }

  #turn = () => {
    clearTimeout(this.#timer);
    if (!document.hidden) this.#ask();
  };

  // After a failure it waits longer each time, up to a minute.
  #plan() {
    const seconds = Number(this.getAttribute("seconds")) || 5;
    this.#timer = setTimeout(() => this.#ask(), Math.min(seconds * 2 ** this.#misses, 60) * 1000);
  }

  async #ask() {
    if (document.hidden) return;
    if (this.querySelector("details[open]")) return this.#plan(); // somebody is in a menu there
    try {
      const headers = { "HX-Request": "true", ...(this.#tag && { "If-None-Match": this.#tag }) };
      const answer = await fetch(this.getAttribute("src"), { headers, redirect: "error", cache: "no-store" });
      if (answer.status === 200) this.#show(await answer.text(), answer.headers.get("ETag"));
      else if (answer.status !== 304) throw new Error(answer.status);
      this.#misses = 0;
      delete this.dataset.stale;
    } catch {
      this.#misses += 1;
      this.dataset.stale = "";
    }
    this.#plan();
  }

  #show(html, tag) {
    const focus = this.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const scrolled = this.querySelector(".scroll")?.scrollTop ?? 0;
    const fresh = new DOMParser().parseFromString(html, "text/html");
    this.replaceChildren(...fresh.body.childNodes);
    this.#tag = tag ?? "";
    const box = this.querySelector(".scroll");
    if (box) box.scrollTop = scrolled;
    if (focus) this.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus();
  }
}

customElements.define("live-region", LiveRegion);
