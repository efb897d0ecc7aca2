// Times of a recording as a person reads them.

/** Minutes and seconds, with tenths where `tenths`: 0:07.4. */
export function clockText(seconds, tenths = true) {
  const count = Math.max(0, tenths ? Math.round(10 * seconds) / 10 : Math.floor(seconds));
  const minutes = Math.floor(count / 60);
  const rest = count - 60 * minutes;
  return `${minutes}:${(tenths ? rest.toFixed(1) : String(rest)).padStart(tenths ? 4 : 2, "0")}`;
}

/** The same in words, for who hears the page. */
export function spokenClock(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = `${(seconds - 60 * minutes).toFixed(1)} seconds`;
  return minutes ? `${minutes} ${minutes === 1 ? "minute" : "minutes"} ${rest}` : rest;
}

/** A time as subtitles have it: 00:01:07.400. */
export function subtitleClock(seconds) {
  const thousandths = Math.round(1000 * seconds);
  const two = (number) => String(Math.floor(number) % 60).padStart(2, "0");
  const hours = String(Math.floor(thousandths / 3_600_000)).padStart(2, "0");
  const rest = String(thousandths % 1000).padStart(3, "0");
  return `${hours}:${two(thousandths / 60_000)}:${two(thousandths / 1000)}.${rest}`;
}
