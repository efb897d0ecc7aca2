// What a sampler's settings keep of a distribution, as `workbench/samplers/choose.py` has it and in
// its order: temperature, top-k, top-p of what is left, min-p. Pure functions of numbers: a slider
// that moves asks nobody.
//
// A distribution is { logits, restLogits, restCounts }: the likeliest tokens one by one, falling,
// equal ones by rising id, the largest logit 0; the others in bins, each by its mean logit and how
// many they are. A bin is 0.25 wide, so (Hoeffding's lemma) the mass of its tokens at
// temperature t is at least what its mean says, and at most exp((0.25 / t)^2 / 8) times that:
// 0.8 % more at t = 1. The share of a listed token, and the probability that is kept, are off by no
// more than that factor; which listed tokens a top-k or a min-p keeps is exact.

const LEAST_TEMPERATURE = 2 ** -126; // below it there is no draw: the likeliest token is taken

/** Everything as [logit, count] from the likeliest on. */
function levelsOf({ logits, restLogits, restCounts }) {
  const rest = Array.from(restLogits, (logit, i) => [logit, restCounts[i]]);
  return [...Array.from(logits, (logit) => [logit, 1]), ...rest.sort((a, b) => b[0] - a[0])];
}

/** How many tokens there are, but for those that cannot occur. */
function tokenCount({ logits, restCounts }) {
  return restCounts.reduce((sum, count) => sum + count, logits.length);
}

/** The mass of the leading `most` tokens; `masses` are [mass of one, count]. */
function leadingMass(masses, most) {
  let [left, sum] = [most, 0];
  for (const [mass, count] of masses) {
    if (left <= 0) break;
    sum += mass * Math.min(count, left);
    left -= count;
  }
  return sum;
}

/** The fewest leading tokens whose mass reaches the target: at least one, `most` at most. */
function leadingCount(masses, target, most) {
  let [tokens, sum] = [0, 0];
  for (const [mass, count] of masses) {
    if (sum + mass * count < target) {
      sum += mass * count;
      tokens += count;
      continue;
    }
    const more = Math.min(count, Math.max(1, Math.ceil((target - sum) / mass)));
    return Math.min(most, tokens + more);
  }
  return most;
}

/** How many tokens have at least the share `least` of the likeliest one. */
function countAbove(scaled, least) {
  const edge = Math.log(least);
  return scaled.reduce((sum, [logit, count]) => (logit >= edge ? sum + count : sum), 0);
}

/** How many tokens each cut leaves that takes some away, in the order in which they are made. */
function endsOf(scaled, masses, count, { top_k, top_p, min_p }) {
  const ends = [];
  let left = count;
  const leave = (cut, end) => {
    if (end < left) ends.push({ cut, end });
    left = Math.min(left, end);
  };
  if (top_k > 0) leave("top_k", top_k);
  if (top_p < 1) leave("top_p", leadingCount(masses, top_p * leadingMass(masses, left), left));
  if (min_p > 0) leave("min_p", Math.max(1, countAbove(scaled, min_p)));
  return ends;
}

function massesOf(levels) {
  return levels.map(([logit, count]) => [Math.exp(logit), count]);
}

function sharesOf(masses, listed, kept) {
  const total = leadingMass(masses, kept);
  return Float64Array.from({ length: listed }, (_, i) => (i < kept ? masses[i][0] / total : 0));
}

/** The probability of each listed token under the model itself, float64. */
export function modelShares(distribution) {
  return sharesOf(massesOf(levelsOf(distribution)), distribution.logits.length, Infinity);
}

/**
 * What the settings { temperature, top_k, top_p, min_p } keep (0, 1 and 0 keep all):
 * `shares`, the probability with which each listed token is drawn, 0 where it is cut;
 * `kept` of `count` tokens, with `mass` of the probability at that temperature;
 * `ends`, the cuts that take tokens away and how many each leaves, the last one the fewest.
 */
export function cutDistribution(distribution, { temperature = 1, top_k = 0, top_p = 1, min_p = 0 }) {
  const { logits } = distribution;
  const count = tokenCount(distribution);
  if (temperature < LEAST_TEMPERATURE) {
    const shares = Float64Array.from(logits, (_, i) => (i === 0 ? 1 : 0));
    return { shares, kept: 1, count, mass: 1, ends: [{ cut: "temperature", end: 1 }] };
  }
  const scaled = levelsOf(distribution).map(([logit, tokens]) => [logit / temperature, tokens]);
  const masses = massesOf(scaled);
  const ends = endsOf(scaled, masses, count, { top_k, top_p, min_p });
  const kept = ends.at(-1)?.end ?? count;
  const mass = leadingMass(masses, kept) / leadingMass(masses, count);
  return { shares: sharesOf(masses, logits.length, kept), kept, count, mass, ends };
}
