// Says something to screen readers, politely.
export function announce(text) {
  const place = document.getElementById("announcer");
  if (place) place.textContent = place.textContent === text ? `${text}\u00a0` : text;
}
