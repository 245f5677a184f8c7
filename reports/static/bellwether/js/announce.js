// Says something to screen readers, politely.
export function announce(text) {
  const place = document.getElementById("announcer");
  if (place) place.textContent = place.textContent === text ? `${text}\u00a0` : text;
}

// The same for eyes too: a word at the foot of the page that goes away by itself.
export function tell(text) {
  announce(text);
  document.querySelector(".toast")?.remove();
  const toast = document.createElement("p");
  toast.className = "toast";
  toast.setAttribute("aria-hidden", "true"); // it has just been heard
  toast.textContent = text;
  document.body.append(toast);
  setTimeout(() => toast.remove(), 2_500);
}
