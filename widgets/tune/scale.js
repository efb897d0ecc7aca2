// Axes: where their ticks stand, and how numbers are written on them.

import { wholeText } from "../shared/units.js";

const NICE = [1, 2, 5, 10];

/** The round step that gives at most so many ticks. */
function niceStep(span, most) {
  const rough = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * NICE.find((nice) => nice * power >= rough * 0.999999);
}

export function linearTicks(low, high, most, least = 0) {
  const step = Math.max(least, niceStep(high - low || 1, most));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) ticks.push(i * step);
  return ticks;
}

/** Powers of ten and, where there is room, two and five of each; linear ticks in a small range. */
export function logTicks(low, high, most) {
  const decades = Math.log10(high / low);
  if (decades < 1) return linearTicks(low, high, most);
  const parts = decades * 3 <= most ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil((decades * parts.length) / most));
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    if (parts.length === 1 && power % every) continue;
    for (const part of parts) ticks.push(part * 10 ** power);
  }
  return ticks.filter((tick) => tick >= low * 0.9999 && tick <= high * 1.0001);
}

/** A number on an axis, with as many digits as tell it from its neighbours. */
export function tickText(value, ticks) {
  const size = Math.abs(value);
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(6))}k`;
  if (size !== 0 && size < 1e-3) return value.toExponential(0);
  const gap = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : size;
  const digits = gap ? Math.max(0, Math.min(6, -Math.floor(Math.log10(gap) + 1e-9))) : 0;
  return value.toFixed(digits);
}

/** A measured number: three digits, small and large ones with a power of ten. */
export function measureText(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e6) return value.toExponential(1).replace("e+", "e");
  if (size >= 1e4) return `${(value / 1e3).toPrecision(3)} k`;
  return size >= 1000 ? wholeText(Math.round(value)) : value.toPrecision(3);
}

/** Maps values to pixels and back; `log` needs values above 0. */
export function createScale(low, high, from, to, log = false) {
  const warp = log ? Math.log : (value) => value;
  const [start, span] = [warp(low), warp(high) - warp(low) || 1];
  return {
    low,
    high,
    pixel: (value) => from + ((warp(value) - start) / span) * (to - from),
    value(pixel) {
      const place = start + ((pixel - from) / (to - from)) * span;
      return log ? Math.exp(place) : place;
    },
  };
}
