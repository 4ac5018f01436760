// NMNC in plain JavaScript: reads the pack of golden vectors, answers every stage, writes the answers.
//
//     node port.js PACK ANSWERS
//
// An array is {shape, data}, the last axis fastest, numbers in double precision. Words of 32 bits are numbers too.
'use strict';
const fs = require('fs');
const path = require('path');

const size = (shape) => shape.reduce((product, length) => product * length, 1);
const array = (shape, data) => ({ shape, data });
const build = (shape, f) => array(shape, Array.from({ length: size(shape) }, (_, i) => f(i)));
const map = (a, f) => array(a.shape, a.data.map(f));
const zip = (a, b, f) => array(a.shape, a.data.map((value, i) => f(value, b.data[i])));
const scalar = (value) => array([], [value]);
const sum = (list) => list.reduce((total, value) => total + value, 0);
const largest = (list) => list.reduce((most, value) => Math.max(most, value), -Infinity);
const last = (list) => list[list.length - 1];
const rowsOf = (a) => size(a.shape) / last(a.shape);
const flat = (a) => array([rowsOf(a), last(a.shape)], a.data);
const slice = (a, index) => {
  const length = size(a.shape.slice(1));
  return array(a.shape.slice(1), a.data.slice(index * length, (index + 1) * length));
};
const slices = (a) => Array.from({ length: a.shape[0] }, (_, i) => slice(a, i));
const stack = (list) => array([list.length, ...list[0].shape], list.flatMap((each) => each.data));
const transpose = (a) => build([a.shape[1], a.shape[0]], (i) => a.data[(i % a.shape[0]) * a.shape[1] + Math.floor(i / a.shape[0])]);
const reshape = (a, shape) => array(shape, a.data);
const identity = (n) => build([n, n], (i) => (i % (n + 1) === 0 ? 1 : 0));

function product(a, b) { // [..., m] times [m, n]
  const [m, n] = b.shape;
  return build([...a.shape.slice(0, -1), n], (index) => {
    const row = Math.floor(index / n) * m;
    const column = index % n;
    let total = 0;
    for (let i = 0; i < m; i += 1) total += a.data[row + i] * b.data[i * n + column];
    return total;
  });
}
const times = (a, factor) => map(a, (value) => value * factor);
const plus = (a, b) => build(a.shape, (i) => a.data[i] + b.data[i % b.data.length]);
const squares = (a) => sum(a.data.map((value) => value * value));

// Random numbers: Threefry-2x32

function threefry(key, counter) {
  const keys = [key[0], key[1], (key[0] ^ key[1] ^ 0x1bd11bda) >>> 0];
  let x0 = (counter[0] + keys[0]) >>> 0;
  let x1 = (counter[1] + keys[1]) >>> 0;
  const rotations = [[13, 15, 26, 6], [17, 29, 16, 24]];
  for (let group = 0; group < 5; group += 1) {
    for (const rotation of rotations[group % 2]) {
      x0 = (x0 + x1) >>> 0;
      x1 = ((x1 << rotation) | (x1 >>> (32 - rotation))) >>> 0;
      x1 = (x0 ^ x1) >>> 0;
    }
    x0 = (x0 + keys[(group + 1) % 3]) >>> 0;
    x1 = (x1 + keys[(group + 2) % 3] + group + 1) >>> 0;
  }
  return [x0, x1];
}
const words = (key, count) => Array.from({ length: count }, (_, i) => threefry(key, [0, i]));
const foldIn = (key, data) => threefry(key, [0, data]);
const uniforms = (key, count, dtype) => words(key, count).map(([x0, x1]) => (dtype === 'float32'
  ? (((x0 ^ x1) >>> 9) + 0.5) * 2 ** -23
  : (x0 * 2 ** 20 + (x1 >>> 12) + 0.5) * 2 ** -52));
function normals(key, count, dtype) {
  const [first, second] = words(key, 2);
  const u = uniforms(first, count, dtype);
  const v = uniforms(second, count, dtype);
  return u.map((value, i) => Math.sqrt(-2 * Math.log(value)) * Math.cos(2 * Math.PI * v[i]));
}

// Linear algebra

function eigen(matrix) { // of a symmetric matrix, by Jacobi rotations: values descending, vectors in rows
  const n = matrix.shape[0];
  const a = slices(matrix).map((row) => row.data.slice());
  const v = slices(identity(n)).map((row) => row.data.slice());
  for (let sweep = 0; sweep < 60; sweep += 1) {
    for (let p = 0; p < n; p += 1) {
      for (let q = p + 1; q < n; q += 1) {
        if (a[p][q] === 0) continue;
        const angle = 0.5 * Math.atan2(2 * a[p][q], a[p][p] - a[q][q]);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let i = 0; i < n; i += 1) [a[i][p], a[i][q]] = [c * a[i][p] + s * a[i][q], c * a[i][q] - s * a[i][p]];
        for (let i = 0; i < n; i += 1) [a[p][i], a[q][i]] = [c * a[p][i] + s * a[q][i], c * a[q][i] - s * a[p][i]];
        for (let i = 0; i < n; i += 1) [v[p][i], v[q][i]] = [c * v[p][i] + s * v[q][i], c * v[q][i] - s * v[p][i]];
      }
    }
  }
  const order = a.map((_, i) => i).sort((i, j) => a[j][j] - a[i][i]);
  return { values: order.map((i) => a[i][i]), vectors: order.map((i) => v[i]) };
}
function orthonormalise(vectors) { // Gram–Schmidt, twice against the rounding of the first time
  const found = [];
  const lengths = [];
  for (const vector of vectors) {
    let rest = vector.slice();
    for (let twice = 0; twice < 2; twice += 1) {
      for (const q of found) {
        const along = sum(q.map((value, i) => value * rest[i]));
        rest = rest.map((value, i) => value - along * q[i]);
      }
    }
    const length = Math.sqrt(sum(rest.map((value) => value * value)));
    lengths.push(length);
    found.push(rest.map((value) => value / length));
  }
  return { vectors: found, lengths };
}
const gram = (a) => product(transpose(a), a);
const rowsToMatrix = (rows) => array([rows.length, rows[0].length], rows.flat());
const mean = (a) => build([a.shape[1]], (j) => sum(a.data.filter((_, i) => i % a.shape[1] === j)) / a.shape[0]);
function covariance(activity, centring) {
  const deviation = centring === 'uncentred' ? activity : plus(activity, times(mean(activity), -1));
  return times(gram(deviation), 1 / activity.shape[0]);
}
function basis(activity, dimension, centring) { // in rows
  const components = eigen(covariance(activity, centring)).vectors.slice(0, dimension);
  return orthonormalise(centring === 'mean-added' ? [...components, mean(activity).data] : components).vectors;
}
const projector = (U) => product(U, transpose(U));

// Networks

const PHI = { identity: (s) => s, relu: (s) => Math.max(s, 0), tanh: Math.tanh };
const SLOPE = { identity: () => 1, relu: (s) => (s > 0 ? 1 : 0), tanh: (s) => 1 - Math.tanh(s) ** 2 };
function layersOf(inputs) {
  const layers = [];
  for (let l = 1; `weight_${l}` in inputs; l += 1) layers.push({ weight: inputs[`weight_${l}`], bias: inputs[`bias_${l}`] });
  return layers;
}
const affine = (x, weight, bias) => plus(product(x, transpose(weight)), bias);
function forward(layers, x, activation, offset) {
  const activities = [x];
  const preactivations = [];
  layers.forEach(({ weight, bias }, index) => {
    const s = affine(last(activities), weight, bias);
    preactivations.push(s);
    let next = index + 1 < layers.length ? map(s, PHI[activation]) : s;
    if (offset && index + 1 < layers.length) next = zip(next, offset[index], (a, b) => a + b);
    activities.push(next);
  });
  return { activities, preactivations, output: last(activities) };
}
const tail = (inputs) => (activity) => forward(layersOf(inputs).slice(inputs.layer), activity, inputs.activation).output;
const logSoftmax = (y) => array(y.shape, slices(y).flatMap(({ data }) => {
  const shifted = data.map((value) => value - largest(data));
  const log = Math.log(sum(shifted.map(Math.exp)));
  return shifted.map((value) => value - log);
}));
const softmax = (y) => map(logSoftmax(y), Math.exp);
const error = ({ output, target, loss }) => {
  const guess = loss === 'squared_error' ? output : softmax(output);
  return times(zip(guess, target, (a, b) => a - b), 1 / output.shape[0]);
};
const lossValue = ({ output, target, loss }) => {
  const B = output.shape[0];
  if (loss === 'squared_error') return scalar(squares(zip(output, target, (a, b) => a - b)) / (2 * B));
  return scalar(-sum(logSoftmax(output).data.map((log, i) => target.data[i] * log)) / B);
};
function jacobian({ x, layer, activation, ...rest }) {
  const layers = layersOf(rest);
  const { preactivations } = forward(layers, x, activation);
  return stack(slices(x).map((_, i) => {
    let rows = identity(last(layers).weight.shape[0]);
    for (let l = layers.length - 1; l >= layer; l -= 1) {
      if (l + 1 < layers.length) {
        const slopes = slice(preactivations[l], i).data.map(SLOPE[activation]);
        rows = build(rows.shape, (index) => rows.data[index] * slopes[index % slopes.length]);
      }
      rows = product(rows, layers[l].weight);
    }
    return rows;
  }));
}
function backpropagate(layers, x, target, activation, loss) {
  const { activities, preactivations, output } = forward(layers, x, activation);
  const gradients = [];
  let delta = error({ output, target, loss });
  for (let l = layers.length - 1; l >= 0; l -= 1) {
    gradients[l] = product(transpose(delta), activities[l]);
    if (l) delta = zip(product(delta, layers[l].weight), map(preactivations[l - 1], SLOPE[activation]), (a, b) => a * b);
  }
  return gradients;
}

// Estimators; draws first

const oneSided = (f, activity, noise) => stack(slices(noise).map((xi) => zip(f(plus(activity, xi)), f(activity), (a, b) => a - b)));
const antithetic = (f, activity, noise) => stack(slices(noise).map((xi) => zip(f(plus(activity, xi)), f(plus(activity, times(xi, -1))), (a, b) => (a - b) / 2)));
function perSample(response, noise, estimate) { // for each element of the batch: [K, n_o] and [K, n] to an estimate
  if (noise.shape.length === 2) return estimate(response, noise);
  const of = (a, i) => stack(slices(a).map((draw) => slice(draw, i)));
  return stack(Array.from({ length: noise.shape[1] }, (_, i) => estimate(of(response, i), of(noise, i))));
}
const correlate = (response, noise) => times(product(transpose(response), noise), 1 / noise.shape[0]);
const onManifold = (z, U, sigma) => times(product(z, transpose(U)), sigma);
function leastSquares(response, noise, U) {
  const coordinates = U ? product(noise, U) : noise;
  const columns = slices(transpose(coordinates)).map((column) => column.data);
  const q = orthonormalise(columns).vectors;
  const R = product(rowsToMatrix(q), coordinates);
  const right = product(rowsToMatrix(q), response);
  const d = q.length;
  const X = [];
  for (let i = d - 1; i >= 0; i -= 1) {
    X[i] = slice(right, i).data.map((value, o) => {
      let rest = value;
      for (let j = i + 1; j < d; j += 1) rest -= R.data[i * d + j] * X[j][o];
      return rest / R.data[i * d + i];
    });
  }
  const estimate = transpose(rowsToMatrix(X));
  return U ? product(estimate, transpose(U)) : estimate;
}
function estimatedJacobian(inputs) {
  const { key, activity, basis: U, sigma, draws } = inputs;
  const [B, d] = [activity.shape[0], U.shape[1]];
  const z = stack(Array.from({ length: draws }, (_, k) => array([B, d], normals(foldIn(key.data, k), B * d, inputs.dtype))));
  const noise = onManifold(z, U, sigma);
  return times(perSample(antithetic(tail(inputs), activity, noise), noise, correlate), 1 / sigma ** 2);
}

// Learning

const average = (B, J, rate) => zip(B, J, (b, j) => (1 - rate) * b + rate * j);
const gated = (gradient, slope) => zip(gradient, slope, (g, s) => g * s);
const delivered = (signal, feedback) => (feedback.shape.length === 2
  ? product(signal, feedback)
  : stack(slices(signal).map((e, i) => product(reshape(e, [1, e.data.length]), slice(feedback, i)))
    .map((row) => reshape(row, [last(row.shape)]))));
const summed = (delta) => build([delta.shape[1]], (j) => sum(delta.data.filter((_, i) => i % delta.shape[1] === j)));
const velocity = ({ parameter, gradient, velocity: v, momentum, decay }) => build(parameter.shape, (i) => momentum * v.data[i] + gradient.data[i] + decay * parameter.data[i]);
const moved = (inputs) => zip(inputs.parameter, velocity(inputs), (w, v) => w - inputs.learning_rate * v);

// Steps first + 1 … last, from the state before them; learn updates feedback and returns the gradients of parameters.
function trajectory(inputs, parameters, feedback, learn) {
  const { first, last: stop } = inputs;
  const shapes = [...parameters, ...parameters, ...feedback].map((each) => each.shape);
  let offset = 0;
  const arrays = shapes.map((shape, index) => {
    offset += size(shape);
    if (inputs.state) return array(shape, inputs.state.data.slice(offset - size(shape), offset));
    return index < parameters.length ? parameters[index] : build(shape, () => 0);
  });
  const [count, fixed] = [parameters.length, 2 * parameters.length];
  let key = inputs.key.data;
  for (let step = 0; step < first; step += 1) key = foldIn(key, 0);
  for (let step = first; step < stop; step += 1) {
    const fresh = foldIn(key, 1);
    key = foldIn(key, 0);
    const learned = arrays.slice(fixed);
    const gradients = learn(arrays.slice(0, count), learned, fresh);
    learned.forEach((each, index) => { arrays[fixed + index] = each; });
    gradients.forEach((gradient, index) => {
      const parts = { ...inputs, parameter: arrays[index], gradient, velocity: arrays[count + index] };
      arrays[count + index] = velocity(parts);
      arrays[index] = moved(parts);
    });
  }
  const data = arrays.flatMap((each) => each.data);
  return array([data.length], data);
}
function perturbed(inputs, key, f, activity, U) { // an estimate from noise along the manifold, or isotropic of its energy
  const { rule, sigma, draws } = inputs;
  const [n, d] = U.shape;
  const [B, own] = [activity.shape[0], rule === 'vnc' ? n : d];
  const scale = rule === 'vnc' ? sigma * Math.sqrt(d / n) : sigma;
  const z = array([draws, B, own], normals(key, draws * B * own, inputs.dtype));
  const noise = rule === 'vnc' ? times(z, scale) : onManifold(z, U, scale);
  return times(correlate(flat(antithetic(f, activity, noise)), flat(noise)), 1 / scale ** 2);
}
const squaredError = (output, target) => error({ output, target, loss: 'squared_error' });

function trainingState(inputs) {
  const { x, target, route, feedback_rate: rate } = inputs;
  const start = layersOf(inputs);
  const depth = start.length;
  const rows = (l) => (route === 'layerwise' ? start[l].weight : last(start).weight).shape[0];
  const blank = start.slice(1).map(({ weight }, l) => build([rows(l + 1), weight.shape[1]], () => 0));
  const learn = (parameters, feedback, key) => {
    const layers = start.map((_, l) => ({ weight: parameters[2 * l], bias: parameters[2 * l + 1] }));
    const passed = forward(layers, x, 'tanh');
    for (let l = 1; l < depth; l += 1) {
      const f = route === 'layerwise'
        ? (activity) => affine(activity, layers[l].weight, layers[l].bias)
        : (activity) => forward(layers.slice(l), activity, 'tanh').output;
      const estimate = perturbed(inputs, foldIn(key, l - 1), f, passed.activities[l], inputs[`basis_${l}`]);
      feedback[l - 1] = average(feedback[l - 1], estimate, rate);
    }
    const deltas = [];
    deltas[depth] = squaredError(passed.output, target);
    for (let l = depth - 1; l > 0; l -= 1) {
      const signal = route === 'layerwise' ? deltas[l + 1] : deltas[depth];
      deltas[l] = gated(product(signal, feedback[l - 1]), map(passed.preactivations[l - 1], SLOPE.tanh));
    }
    return start.flatMap((_, l) => [product(transpose(deltas[l + 1]), passed.activities[l]), summed(deltas[l + 1])]);
  };
  return trajectory(inputs, start.flatMap(({ weight, bias }) => [weight, bias]), blank, learn);
}
function convolutionalTrainingState(inputs) {
  const { x, target, kernel, kernel_bias: kernelBias, weight, bias, basis: U, feedback_rate: rate } = inputs;
  const learn = ([W, b, O, c], feedback, key) => {
    const layer = { ...inputs, activity: x, weight: W, bias: b };
    const s = convolve(layer);
    const activity = map(s, Math.tanh);
    const top = (each) => affine(each, O, c);
    feedback[0] = average(feedback[0], perturbed(inputs, foldIn(key, 0), top, activity, U), rate);
    const signal = squaredError(top(activity), target);
    const delta = gated(product(signal, feedback[0]), map(s, SLOPE.tanh));
    const own = [convolutionGradient(layer, delta, x), sharedBiasGradient({ delta, weight: W })];
    return [...own, product(transpose(signal), activity), summed(signal)];
  };
  return trajectory(inputs, [kernel, kernelBias, weight, bias], [map(weight, () => 0)], learn);
}
function recurrentTrainingState(inputs) { // read out at every step
  const { x, target, leak, basis: U, feedback_rate: rate } = inputs;
  const names = ['weight', 'input_weight', 'bias', 'read_weight', 'read_bias'];
  const [steps, outputs] = [x.shape[1], inputs.read_bias.data.length];
  const learn = (parameters, feedback, key) => {
    const own = { ...inputs, activation: 'tanh', ...Object.fromEntries(names.map((name, i) => [name, parameters[i]])) };
    const { activities, preactivations } = unrolled(own);
    const estimates = Array.from({ length: steps }, (_, t) => {
      const f = (activity) => readOut(own, unroll(own, activity, t + 1).activities);
      return slices(perturbed(inputs, foldIn(key, t), f, activities[t + 1], U));
    });
    for (let lag = 0; lag < steps; lag += 1) {
      const seen = estimates.slice(0, steps - lag).map((rows) => stack(rows.slice(lag * outputs, (lag + 1) * outputs)));
      feedback[lag] = average(feedback[lag], times(seen.reduce(plus), 1 / seen.length), rate);
    }
    const errors = errorsOf(squaredError(readOut(own, activities.slice(1)), target), steps, 1);
    const gradients = Array.from({ length: steps }, (_, t) => {
      const g = errors.slice(t).map((e, lag) => product(e, feedback[lag])).reduce(plus);
      const delta = times(gated(g, map(preactivations[t], SLOPE.tanh)), leak);
      const back = transpose(delta);
      const cell = [product(back, activities[t]), product(back, inputAt(x, t + 1)), summed(delta)];
      return [...cell, product(transpose(errors[t]), activities[t + 1]), summed(errors[t])];
    });
    return gradients.reduce((total, each) => total.map((part, i) => plus(part, each[i])));
  };
  const blank = Array.from({ length: steps }, () => map(inputs.read_weight, () => 0));
  return trajectory(inputs, names.map((name) => inputs[name]), blank, learn);
}

// Convolution: the list of (place, kernel element, pixel of the flattened image, weight of the pixel in its average)

function links({ weight, height, width, stride, padding, pool }) {
  const [, channels, kernel] = weight.shape;
  const [h, w] = [Math.floor(height / pool), Math.floor(width / pool)];
  const places = (side) => Math.floor((side + 2 * padding - kernel) / stride) + 1;
  const found = [];
  for (let p = 0; p < places(h) * places(w); p += 1) {
    for (let c = 0; c < channels; c += 1) {
      for (let k = 0; k < kernel * kernel; k += 1) {
        const row = Math.floor(p / places(w)) * stride + Math.floor(k / kernel) - padding;
        const column = (p % places(w)) * stride + (k % kernel) - padding;
        if (row < 0 || row >= h || column < 0 || column >= w) continue;
        for (let i = 0; i < pool * pool; i += 1) {
          const pixel = (c * height + row * pool + Math.floor(i / pool)) * width + column * pool + (i % pool);
          found.push({ place: p, element: c * kernel * kernel + k, pixel, share: 1 / pool ** 2 });
        }
      }
    }
  }
  return { found, places: places(h) * places(w), elements: channels * kernel * kernel };
}
function convolve(inputs) {
  const { activity, weight, bias } = inputs;
  const { found, places, elements } = links(inputs);
  const [outputs, pixels] = [weight.shape[0], last(activity.shape)];
  const s = build([activity.shape[0], outputs * places], (i) => bias.data[Math.floor(i / places) % outputs]);
  for (let b = 0; b < activity.shape[0]; b += 1) {
    for (let o = 0; o < outputs; o += 1) {
      for (const { place, element, pixel, share } of found) {
        s.data[(b * outputs + o) * places + place] += share * weight.data[o * elements + element] * activity.data[b * pixels + pixel];
      }
    }
  }
  return s;
}
function convolutionBelow(inputs) {
  const { delta, weight, height, width } = inputs;
  const { found, places, elements } = links(inputs);
  const [outputs, pixels] = [weight.shape[0], weight.shape[1] * height * width];
  const g = build([delta.shape[0], pixels], () => 0);
  for (let b = 0; b < delta.shape[0]; b += 1) {
    for (let o = 0; o < outputs; o += 1) {
      for (const { place, element, pixel, share } of found) {
        g.data[b * pixels + pixel] += share * weight.data[o * elements + element] * delta.data[(b * outputs + o) * places + place];
      }
    }
  }
  return g;
}
function convolutionGradient(inputs, delta, activity) {
  const { found, places, elements } = links(inputs);
  const [outputs, pixels] = [inputs.weight.shape[0], last(activity.shape)];
  const gradient = build(inputs.weight.shape, () => 0);
  for (let b = 0; b < activity.shape[0]; b += 1) {
    for (let o = 0; o < outputs; o += 1) {
      for (const { place, element, pixel, share } of found) {
        gradient.data[o * elements + element] += share * delta.data[(b * outputs + o) * places + place] * activity.data[b * pixels + pixel];
      }
    }
  }
  return gradient;
}
function sharedBiasGradient({ delta, weight }) {
  const places = delta.shape[1] / weight.shape[0];
  return build([weight.shape[0]], (o) => sum(delta.data.filter((_, i) => Math.floor(i / places) % weight.shape[0] === o)));
}

// Recurrent networks

const inputAt = (x, t) => stack(slices(x).map((sequence) => slice(sequence, t - 1)));
function unroll(inputs, activity, from) { // h_from … h_T and s_{from+1} … s_T
  const { x, weight, input_weight: V, bias, activation, leak } = inputs;
  const [activities, preactivations] = [[activity], []];
  for (let t = from + 1; t <= x.shape[1]; t += 1) {
    const h = last(activities);
    const s = plus(zip(product(h, transpose(weight)), product(inputAt(x, t), transpose(V)), (a, b) => a + b), bias);
    preactivations.push(s);
    activities.push(zip(h, s, (old, value) => (1 - leak) * old + leak * PHI[activation](value)));
  }
  return { activities, preactivations };
}
const unrolled = (inputs) => unroll(inputs, build([inputs.x.shape[0], inputs.weight.shape[0]], () => 0), 0);
const columns = (list) => array([list[0].shape[0], sum(list.map((each) => each.shape[1]))], slices(list[0]).flatMap((_, i) => list.flatMap((each) => slice(each, i).data)));
function readOut(inputs, activities) {
  const read = inputs.every ? activities : activities.slice(-1);
  return columns(read.map((h) => affine(h, inputs.read_weight, inputs.read_bias)));
}
function recurrentJacobian(inputs) {
  const { x, step, weight, read_weight: O, activation, leak, every } = inputs;
  const { preactivations } = unrolled(inputs);
  return stack(slices(x).map((_, i) => {
    let rows = O;
    for (let t = x.shape[1]; t > step; t -= 1) {
      const slopes = slice(preactivations[t - 1], i).data.map(SLOPE[activation]);
      const through = product(build(rows.shape, (index) => rows.data[index] * slopes[index % slopes.length]), weight);
      rows = zip(rows, through, (direct, other) => (1 - leak) * direct + leak * other);
      if (every) rows = array([O.shape[0] + rows.shape[0], rows.shape[1]], [...O.data, ...rows.data]);
    }
    return rows;
  }));
}
function errorsOf(signal, steps, every) { // by step 1 … T, null where nothing is read out
  if (!every) return [...Array(steps - 1).fill(null), signal];
  const outputs = signal.shape[1] / steps;
  return Array.from({ length: steps }, (_, t) => stack(slices(signal).map((row) => array([outputs], row.data.slice(t * outputs, (t + 1) * outputs)))));
}
function recurrentLossGradient(inputs) {
  const { x, target, weight, read_weight: O, activation, leak, every, loss } = inputs;
  const { activities, preactivations } = unrolled(inputs);
  const errors = errorsOf(error({ output: readOut(inputs, activities.slice(1)), target, loss }), x.shape[1], every);
  let gradient = build(weight.shape, () => 0);
  let g = map(activities[0], () => 0);
  for (let t = x.shape[1]; t > 0; t -= 1) {
    if (errors[t - 1]) g = plus(g, product(errors[t - 1], O));
    const delta = times(gated(g, map(preactivations[t - 1], SLOPE[activation])), leak);
    gradient = plus(gradient, product(transpose(delta), activities[t - 1]));
    g = plus(times(g, 1 - leak), product(delta, weight));
  }
  return gradient;
}
function laggedGradient(inputs) {
  const steps = 3;
  const errors = errorsOf(inputs.signal, steps, inputs.every);
  const parts = [];
  for (let t = inputs.step; t <= steps; t += 1) {
    if (errors[t - 1]) parts.push(product(errors[t - 1], inputs[`feedback_${t - inputs.step}`]));
  }
  return parts.reduce(plus);
}

// What each stage computes

const OPERATIONS = {
  bits: ({ key, draws }) => array([draws], words(key.data, draws).map(([x0, x1]) => (x0 ^ x1) >>> 0)),
  split_keys: ({ key, number }) => array([number, 2], words(key.data, number).flat()),
  folded_key: ({ key, data }) => array([2], foldIn(key.data, data)),
  uniform: ({ key, draws, dtype }) => array([draws], uniforms(key.data, draws, dtype)),
  signs: ({ key, draws }) => array([draws], words(key.data, draws).map(([x0, x1]) => 1 - 2 * ((x0 ^ x1) >>> 31))),
  normal: ({ key, draws, dtype }) => array([draws], normals(key.data, draws, dtype)),
  preactivation: ({ activity, weight, bias }) => affine(activity, weight, bias),
  activity: ({ preactivation, activation }) => map(preactivation, PHI[activation]),
  slope: ({ preactivation, activation }) => map(preactivation, SLOPE[activation]),
  loss_value: lossValue,
  error,
  tail_output: (inputs) => tail(inputs)(inputs.activity),
  injected_output: ({ offset, x, activation, ...rest }) => {
    const layers = layersOf(rest);
    let start = 0;
    const offsets = layers.slice(0, -1).map(({ bias }) => {
      const from = start;
      start += bias.data.length;
      return stack(slices(offset).map((row) => array(bias.shape, row.data.slice(from, from + bias.data.length))));
    });
    return forward(layers, x, activation, offsets).output;
  },
  jacobian,
  loss_gradient: ({ x, target, layer, activation, loss, ...rest }) => backpropagate(layersOf(rest), x, target, activation, loss)[layer - 1],
  spectrum: ({ activity, centring }) => {
    const values = eigen(covariance(activity, centring)).values.slice(0, Math.min(...activity.shape));
    return array([values.length], values);
  },
  manifold_projector: ({ activity, dimension, centring }) => projector(transpose(rowsToMatrix(basis(activity, dimension, centring)))),
  projected_jacobian: ({ jacobian: J, basis: U }) => product(J, projector(U)),
  alignment: ({ jacobian: J, basis: U }) => {
    const ratio = (each) => squares(product(each, U)) / squares(each);
    return J.shape.length === 2 ? scalar(ratio(J)) : array([J.shape[0]], slices(J).map(ratio));
  },
  pooled_alignment: ({ jacobian: J, basis: U }) => scalar(squares(product(J, U)) / squares(J)),
  principal_angles: ({ basis: U, other_basis: V }) => {
    const cosines = eigen(gram(product(transpose(U), V))).values;
    const sines = eigen(gram(zip(V, product(projector(U), V), (a, b) => a - b))).values.reverse();
    const angles = cosines.map((c2, i) => (c2 > 0.5 ? Math.asin(Math.sqrt(Math.max(sines[i], 0))) : Math.acos(Math.sqrt(Math.max(c2, 0)))));
    return array([angles.length], angles);
  },
  participation_ratio: ({ spectrum }) => scalar(sum(spectrum.data) ** 2 / squares(spectrum)),
  explained_dimension: ({ spectrum, explained }) => {
    let [count, share] = [0, 0];
    while (share / sum(spectrum.data) < explained) share += spectrum.data[count++];
    return scalar(count);
  },
  two_nearest_neighbours: ({ points }) => {
    const distinct = slices(points).map((each) => each.data).filter((point, i, all) => all.findIndex((other) => other.every((value, j) => value === point[j])) === i);
    const logs = distinct.map((point, i) => {
      const distances = distinct.map((other) => Math.hypot(...other.map((value, j) => value - point[j])));
      distances.splice(i, 1);
      distances.sort((a, b) => a - b);
      return Math.log(distances[1] / distances[0]);
    });
    return scalar(logs.length / sum(logs));
  },
  isotropic_noise: ({ coefficients, sigma }) => times(coefficients, sigma),
  manifold_noise: ({ coefficients, basis: U, sigma }) => onManifold(coefficients, U, sigma),
  covariance_noise: ({ coefficients, factor }) => product(coefficients, transpose(factor)),
  fixed_norm: ({ coefficients }) => reshape(stack(slices(flat(coefficients)).map((z) => times(z, Math.sqrt(z.data.length / squares(z))))), coefficients.shape),
  orthonormal_frame: ({ coefficients }) => {
    const [K, d] = [coefficients.shape[0], last(coefficients.shape)];
    const lead = size(coefficients.shape) / K / d;
    const draws = reshape(coefficients, [K, lead, d]);
    const frames = Array.from({ length: lead }, (_, i) => orthonormalise(slices(draws).map((draw) => slice(draw, i).data)).vectors);
    return build(coefficients.shape, (index) => Math.sqrt(d) * frames[Math.floor(index / d) % lead][Math.floor(index / d / lead)][index % d]);
  },
  matched_sigma: ({ sigma, dimension, width }) => scalar(sigma * Math.sqrt(dimension / width)),
  one_sided_response: (inputs) => oneSided(tail(inputs), inputs.activity, inputs.noise),
  antithetic_response: (inputs) => antithetic(tail(inputs), inputs.activity, inputs.noise),
  mirror_response: ({ activity, noise, weight, bias }) => antithetic((x) => affine(x, weight, bias), activity, noise),
  unnormalised_correlation: ({ response, noise }) => perSample(response, noise, correlate),
  correlation: ({ response, noise, sigma }) => times(perSample(response, noise, correlate), 1 / sigma ** 2),
  batch_correlation: ({ response, noise, sigma }) => times(correlate(flat(response), flat(noise)), 1 / sigma ** 2),
  least_squares: ({ response, noise, basis: U }) => perSample(response, noise, (dy, xi) => leastSquares(dy, xi, U)),
  shrunk_estimate: ({ estimate, scaling }) => times(estimate, scaling),
  estimated_jacobian: estimatedJacobian,
  running_average: ({ feedback, estimate, rate }) => average(feedback, estimate, rate),
  activity_gradient: ({ signal, feedback }) => delivered(signal, feedback),
  delta: ({ signal, feedback, slope }) => gated(delivered(signal, feedback), slope),
  weight_gradient: ({ delta, activity }) => product(transpose(delta), activity),
  bias_gradient: ({ delta }) => summed(delta),
  velocity,
  parameter: moved,
  training_state: trainingState,
  convolutional_training_state: convolutionalTrainingState,
  recurrent_training_state: recurrentTrainingState,
  convolution_preactivation: convolve,
  convolution_activity_gradient: convolutionBelow,
  convolution_weight_gradient: (inputs) => convolutionGradient(inputs, inputs.delta, inputs.activity),
  convolution_bias_gradient: sharedBiasGradient,
  convolution_mirror: (inputs) => times(convolutionGradient(inputs, inputs.response, inputs.noise), 1 / (inputs.noise.shape[0] * links(inputs).places * inputs.sigma ** 2)),
  recurrent_activity: (inputs) => unrolled(inputs).activities[inputs.step],
  recurrent_tail_output: (inputs) => readOut(inputs, unroll(inputs, inputs.activity, inputs.step).activities),
  recurrent_jacobian: recurrentJacobian,
  recurrent_loss_gradient: recurrentLossGradient,
  recurrent_activity_gradient: laggedGradient,
  recurrent_delta: ({ gradient, preactivation, activation, leak }) => times(gated(gradient, map(preactivation, SLOPE[activation])), leak),
};

function main(pack, answers) {
  const manifest = JSON.parse(fs.readFileSync(path.join(pack, 'manifest.json'), 'utf8'));
  fs.mkdirSync(answers, { recursive: true });
  for (const file of Object.keys(manifest.files)) {
    if (file.endsWith('.schema.json')) continue;
    const given = JSON.parse(fs.readFileSync(path.join(pack, file), 'utf8'));
    if (given.precision === 'float32') continue; // this port computes in double precision
    const known = { ...given.inputs };
    const stages = given.stages.map(({ name, operation, inputs, parameters, value }) => {
      const read = Object.entries(inputs).map(([argument, source]) => [argument, known[source]]);
      const answer = OPERATIONS[operation]({ dtype: 'float64', ...Object.fromEntries(read), ...parameters });
      known[name] = answer;
      return { name, value: { ...answer, dtype: value.dtype, order: 'C' } };
    });
    fs.writeFileSync(path.join(answers, file), JSON.stringify({ name: given.name, stages }));
  }
}

main(process.argv[2], process.argv[3]);
