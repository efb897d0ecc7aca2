// Curves: numbers that only grow at the end, drawn with no more points than can be seen.

const FEW_POINTS = 2000; // up to here every point is drawn

/** Rows of so many numbers, kept by column. */
export function createColumns(width) {
  let columns = Array.from({ length: width }, () => new Float32Array(256));
  let count = 0;
  const reserve = (rows) => {
    if (rows <= columns[0].length) return;
    const size = Math.max(rows, 2 * columns[0].length);
    columns = columns.map((old) => {
      const grown = new Float32Array(size);
      grown.set(old.subarray(0, count));
      return grown;
    });
  };
  return {
    get count() {
      return count;
    },
    column: (index) => columns[index].subarray(0, count),
    clear() {
      count = 0;
    },
    /** Whole rows, one after the other. */
    append(values) {
      const rows = Math.floor(values.length / width);
      reserve(count + rows);
      for (let row = 0; row < rows; row += 1) {
        for (let c = 0; c < width; c += 1) columns[c][count + row] = values[row * width + c];
      }
      count += rows;
    },
  };
}

/** The first index whose x is not below `x`; xs ascend. */
export function firstAt(xs, x) {
  let [low, high] = [0, xs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The index whose x is nearest, -1 where there is none. */
export function nearestAt(xs, x) {
  const after = firstAt(xs, x);
  if (after === 0) return xs.length ? 0 : -1;
  if (after === xs.length) return after - 1;
  return x - xs[after - 1] <= xs[after] - x ? after - 1 : after;
}

/**
 * The indices to draw between two x: all of them while they are few, else the lowest and the
 * highest of every stretch, so that no peak is lost. One more at each end leads out of the frame.
 */
export function visibleIndices(xs, ys, from, to, most = FEW_POINTS) {
  const first = Math.max(0, firstAt(xs, from) - 1);
  const last = Math.min(xs.length, firstAt(xs, to) + 2);
  if (last - first <= most) return Array.from({ length: last - first }, (_, i) => first + i);
  const stretches = most >> 1;
  const found = [];
  for (let stretch = 0; stretch < stretches; stretch += 1) {
    const start = first + Math.floor(((last - first) * stretch) / stretches);
    const stop = first + Math.floor(((last - first) * (stretch + 1)) / stretches);
    let [low, high] = [start, start];
    for (let i = start + 1; i < stop; i += 1) {
      if (Number.isNaN(ys[i])) continue;
      if (!(ys[low] <= ys[i])) low = i;
      if (!(ys[high] >= ys[i])) high = i;
    }
    found.push(...(low === high ? [low] : [Math.min(low, high), Math.max(low, high)]));
  }
  return found;
}

/** A running mean whose past weighs less and less; it goes on where it stopped. */
export function createSmoother() {
  let [weight, done, mean, mass] = [-1, 0, 0, 0];
  let smooth = new Float32Array(256);
  return (ys, wanted) => {
    if (wanted !== weight || done > ys.length) [weight, done, mean, mass] = [wanted, 0, 0, 0];
    if (smooth.length < ys.length) {
      const grown = new Float32Array(2 * ys.length);
      grown.set(smooth.subarray(0, done));
      smooth = grown;
    }
    for (; done < ys.length; done += 1) {
      if (Number.isFinite(ys[done])) {
        mean = weight * mean + (1 - weight) * ys[done];
        mass = weight * mass + (1 - weight);
      }
      smooth[done] = mass ? mean / mass : NaN;
    }
    return smooth.subarray(0, ys.length);
  };
}
