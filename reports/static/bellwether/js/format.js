// Numbers and times of tiles and charts, as the server writes them (`reports/dashboard/shown.py`).
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function shown(value, { unit, currency, exponent = 2 }, isShort = false) {
  if (value === null || value === undefined) return "–";
  if (unit === "money") return money(value, currency, exponent, isShort);
  if (unit === "ratio") return `${fixed(value * 100, isShort && (Math.abs(value) >= 0.1 || !value) ? 0 : 1)} %`;
  if (unit === "percentage_points") return `${fixed(value, 1)} pp`;
  if (unit === "duration") return duration(value);
  if (isShort) return SHORT.format(value);
  return fixed(value, Number.isInteger(value) ? 0 : Math.abs(value) >= 1 ? 2 : 3);
}

// What a tile has room for: large amounts in three digits, "€1.24M".
export function brief(value, form) {
  const { unit, currency } = form;
  if (value === null || Math.abs(value) < 100_000 || !["money", "count", "number"].includes(unit)) return shown(value, form);
  const digits = { notation: "compact", minimumSignificantDigits: 3, maximumSignificantDigits: 3 };
  return new Intl.NumberFormat("en", unit === "money" ? { ...digits, style: "currency", currency } : digits).format(value);
}

export function percent(size) {
  return `${fixed(size, size < 1000 ? 1 : 0)} %`;
}

export function fixed(value, digits) {
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function money(value, currency, exponent, isShort) {
  const digits = isShort && Math.abs(value) >= 1000 ? { notation: "compact", maximumFractionDigits: 1 } : isShort ? { maximumFractionDigits: Number.isInteger(value) ? 0 : 2 } : { minimumFractionDigits: exponent, maximumFractionDigits: exponent };
  return new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "symbol", minimumFractionDigits: 0, ...digits }).format(value);
}

function duration(milliseconds) {
  const size = Math.abs(milliseconds);
  if (size < 1000) return `${Math.round(milliseconds)} ms`;
  if (size < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (size < 3_600_000) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  if (size < 86_400_000) return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

const FORMS = {
  minute: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  hour: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  day: { weekday: "short", day: "numeric", month: "short" },
  week: { day: "numeric", month: "short", year: "numeric" },
  month: { month: "short", year: "numeric" },
  quarter: { month: "short", year: "numeric" },
  year: { year: "numeric" },
};

export function moment(iso, grain, timeZone, isShort = false) {
  let form = FORMS[grain] ?? FORMS.day;
  if (isShort && grain === "day") form = { day: "numeric", month: "short" };
  if (isShort && grain === "hour") form = { day: "numeric", month: "short", hour: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat("en-GB", { ...form, timeZone }).format(new Date(iso)).replace("Sept", "Sep"); // as the server writes it
}
