// A TensorFlow.js model's graph, run by calling the library's operations one after the other. The library has an
// interpreter of its own, in a package that knows all operations: it takes more than twice the time, and as much again
// to load.

import * as tf from "@tensorflow/tfjs-core";

const DTYPES = { DT_INT32: "int32", DT_FLOAT: "float32", DT_BOOL: "bool" };
const number = (attribute) => Number(attribute?.i ?? 0);
const flag = (attribute) => Boolean(attribute?.b);
const scalar = (tensor) => tensor.dataSync()[0];
const list = (tensor) => [...tensor.dataSync()];

// The library's kernels that an operation is, without what the library's own functions check around them.
const run = (kernel, inputs, attributes) => tf.engine().runKernel(kernel, inputs, attributes);
const unary = { Neg: "Neg", Sigmoid: "Sigmoid", Tanh: "Tanh", Relu: "Relu", Cos: "Cos", Sin: "Sin", Log: "Log" };
const binary = {
  AddV2: "Add", Sub: "Sub", Mul: "Multiply", Minimum: "Minimum", Pow: "Pow", FloorMod: "Mod", Equal: "Equal",
  NotEqual: "NotEqual", Less: "Less",
};
const reductions = { Sum: tf.sum, Max: tf.max, Min: tf.min, Mean: tf.mean, Prod: tf.prod };
const product = (a, b, transposeA, transposeB) =>
  run("BatchMatMul", { a, b }, { transposeA: flag(transposeA), transposeB: flag(transposeB) });

/** What an operation does: its input tensors and its attributes to its output, or to a list of them. */
const OPERATIONS = {
  ...map(unary, (kernel) => ([x]) => run(kernel, { x })),
  ...map(binary, (kernel) => ([a, b]) => run(kernel, { a, b })),
  ...map(reductions, (operation) => ([x, axes], { keep_dims }) => operation(x, list(axes), flag(keep_dims))),
  MatMul: ([a, b], { transpose_a, transpose_b }) => product(a, b, transpose_a, transpose_b),
  _FusedMatMul: ([a, b, bias], { transpose_a, transpose_b }) => tf.add(product(a, b, transpose_a, transpose_b), bias),
  BatchMatMulV2: ([a, b], { adj_x, adj_y }) => product(a, b, adj_x, adj_y),
  Softmax: ([logits]) => run("Softmax", { logits }, { dim: logits.rank - 1 }),
  SelectV2: (inputs) => tf.where(...inputs),
  Identity: ([x]) => x,
  Shape: ([x]) => tf.tensor1d(x.shape, "int32"),
  Reshape: ([x, shape]) => tf.reshape(x, list(shape)),
  ExpandDims: ([x, axis]) => tf.expandDims(x, scalar(axis)),
  Cast: ([x], { DstT }) => tf.cast(x, DTYPES[DstT.type]),
  Pack: (inputs, { axis }) => tf.stack(inputs, number(axis)),
  Unpack: ([x], { axis }) => tf.unstack(x, number(axis)),
  Pad: ([x, paddings]) => tf.pad(x, paddings.arraySync()),
  Tile: ([x, repeats]) => tf.tile(x, list(repeats)),
  Fill: ([shape, value]) => tf.fill(list(shape), scalar(value), value.dtype),
  Range: ([start, end, step]) => tf.range(scalar(start), scalar(end), scalar(step), "int32"),
  ConcatV2: (inputs) => tf.concat(inputs.slice(0, -1), scalar(inputs.at(-1))),
  Split: ([axis, x], { num_split }) => tf.split(x, number(num_split), scalar(axis)),
  Transpose: ([x, order]) => tf.transpose(x, list(order)),
  GatherV2: ([x, indices, axis]) => tf.gather(x, indices, scalar(axis)),
  ArgMax: ([x, axis]) => tf.argMax(x, scalar(axis)),
  TensorScatterUpdate: ([x, indices, updates]) => tf.tensorScatterUpdate(x, indices, updates),
  StridedSlice: ([x, begin, end, strides], { begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask }) =>
    tf.stridedSlice(x, list(begin), list(end), list(strides), number(begin_mask), number(end_mask),
      number(ellipsis_mask), number(new_axis_mask), number(shrink_axis_mask)),
};

function map(object, change) {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
}

/**
 * A model's graph as a function: from a list of input tensors to that of the outputs, in the order of these names.
 * `weights` are tensors by name, constants among them.
 */
export function compile({ node: nodes, library }, weights, inputs, outputs) {
  const functions = new Map((library?.function ?? []).map((found) => [found.signature.name, found]));
  const steps = []; // { operation, attributes, from: [[slot, output], ...], to: slot }
  const constants = [];
  const slots = new Map();
  const byName = new Map(nodes.map((node) => [node.name, node]));
  // An input is written `name`, `name:1` or `name:output:1`.
  const source = (reference) => {
    const [name, ...rest] = reference.split(":");
    place(name);
    return [slots.get(name), Number(rest.at(-1)) || 0];
  };
  const add = (name) => slots.set(name, slots.size).get(name);
  const operation = ({ op, attr }) => {
    if (op !== "StatelessWhile") return OPERATIONS[op];
    const [condition, body] = [attr.cond, attr.body].map(({ func }) => {
      const { signature, nodeDef, ret } = functions.get(func.name);
      const results = signature.outputArg.map(({ name }) => ret[name]);
      return compile({ node: nodeDef, library }, weights, signature.inputArg.map(({ name }) => name), results);
    });
    return (state) => loop(condition, body, state);
  };
  const place = (name) => {
    if (slots.has(name)) return;
    if (weights[name]) {
      constants[add(name)] = [weights[name]];
      return;
    }
    const node = byName.get(name);
    const step = { operation: operation(node), attributes: node.attr ?? {} };
    if (!step.operation) throw new Error(`The model has an operation that the page does not know: ${node.op}.`);
    step.from = (node.input ?? []).filter((reference) => !reference.startsWith("^")).map(source);
    step.to = add(name);
    steps.push(step);
  };
  inputs.forEach(add);
  const results = outputs.map(source);

  return (tensors) => tf.tidy(() => {
    const values = constants.slice();
    tensors.forEach((tensor, slot) => { values[slot] = [tensor]; });
    for (const { operation, attributes, from, to } of steps) {
      const made = operation(from.map(([slot, output]) => values[slot][output]), attributes);
      values[to] = Array.isArray(made) ? made : [made];
    }
    return results.map(([slot, output]) => values[slot][output]);
  });
}

function loop(condition, body, first) {
  let state = first;
  while (scalar(condition(state)[0])) {
    const next = body(state);
    tf.dispose(state.filter((tensor) => !first.includes(tensor) && !next.includes(tensor)));
    state = next;
  }
  return state;
}
