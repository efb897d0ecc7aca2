// Numbers as a person reads them. Units are decimal: 1 GB is 1,000,000,000 bytes.

export function parametersText(count) {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} B`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} M`;
  return `${(count / 1e3).toFixed(1)} k`;
}

/** Memory in one unit, so that a column of it can be compared at a glance. */
export function gigabytesText(bytes) {
  if (bytes < 5e7) return "< 0.1 GB";
  return bytes < 99.95e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e9)} GB`;
}

/** Bytes that grow while they are shown: three digits. */
export function bytesText(bytes) {
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (bytes >= 0.9995 * size) return `${Number((bytes / size).toPrecision(3))} ${unit}`;
  }
  return `${Math.round(bytes)} B`;
}

export function secondsText(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function wholeText(number) {
  return number.toLocaleString("en");
}
