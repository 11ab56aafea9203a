// The shader that renders one field, written from its configuration: the same stages as obj2ngp.ngp.rendering.
"use strict";

const TABLE_WIDTH = 2048; // texels in a row of the table's texture: what every WebGL2 has at least
const MIN_TRANSMITTANCE = 1e-4; // a ray ends where less light than this is left
const MAX_LOG_DENSITY = 15;
const FAINT = 0.02; // samples of less weight take the colour of the next one: most of the colour MLP's work is spared

const VERTEX_SHADER = `#version 300 es
void main() { gl_Position = vec4(4 * (gl_VertexID & 1) - 1, 2 * (gl_VertexID & 2) - 1, 0, 1); }`;

const float = (x) => (Number.isInteger(x) ? x + ".0" : String(x));
const quarters = (n) => Math.ceil(n / 4);
const times = (n, write) => Array.from({ length: n }, (_, i) => write(i)).join("\n");

/** Sizes (inputs, outputs), in numbers, of the matrices of both MLPs; see obj2ngp.ngp.field.mlp_shapes. */
function matrixShapes(network) {
  const pairs = (sizes) => sizes.slice(1).map((size, i) => [sizes[i], size]);
  const hidden = (width, layers) => Array(layers).fill(width);
  const { density_width, density_layers, color_width, color_layers, geometry_features, sh_degree } = network;
  return {
    density: pairs([network.levels * network.features, ...hidden(density_width, density_layers), geometry_features]),
    color: pairs([geometry_features + sh_degree ** 2, ...hidden(color_width, color_layers), 3]),
  };
}

/** The hash encoding: `encode` fills x, the features of all levels one after another. */
function encodingSource({ features, levels }, { scale, resolution, offset, hashed, quantum }) {
  const groups = quarters(features); // texels of an entry
  const type = { 1: "float", 2: "vec2" }[features] || "vec4", swizzle = { 1: ".r", 2: ".rg" }[features] || "";
  const level = (name, index) => `
${type} ${name}(vec3 position, float scale, int last, uint offset, uint mask, int group) {
  vec3 p = position * scale + 0.5;
  ivec3 low = ivec3(p);
  vec3 f = p - vec3(low), g = 1.0 - f;
  uvec3 a = uvec3(min(low, last)), b = uvec3(min(low + 1, last));
  ${index}
  return g.z * (g.y * (g.x * entry(offset + i000, group) + f.x * entry(offset + i100, group))
              + f.y * (g.x * entry(offset + i010, group) + f.x * entry(offset + i110, group)))
       + f.z * (g.y * (g.x * entry(offset + i001, group) + f.x * entry(offset + i101, group))
              + f.y * (g.x * entry(offset + i011, group) + f.x * entry(offset + i111, group)));
}`;
  const corners = (combine) =>
    [0, 1, 2, 3, 4, 5, 6, 7].map((c) => {
      const [x, y, z] = [c & 1, (c >> 1) & 1, c >> 2].map((high, axis) => "ab"[high] + "." + "xyz"[axis]);
      return `uint i${c & 1}${(c >> 1) & 1}${c >> 2} = ${combine(x, y, z)};`;
    }).join("\n  ");
  const component = (i) => (features === 1 ? `x[${i >> 2}][${i & 3}]` : `x[${i >> 2}].${i & 2 ? "zw" : "xy"}`);
  const call = (l, group) =>
    `${hashed[l] ? "hashed" : "dense"}(position, ${float(scale[l])}, ${resolution[l] - 1}, ${offset[l]}u, ` +
    `${hashed[l] ? offset[l + 1] - offset[l] - 1 : resolution[l]}u, ${group}) * ${float(quantum[l])}`;
  const write = (l) => {
    if (features < 3) return `  ${component(l * features)} = ${call(l, 0)};`;
    return times(groups, (group) => {
      const first = l * features + 4 * group, count = Math.min(4, features - 4 * group);
      if (count === 4 && first % 4 === 0) return `  x[${first >> 2}] = ${call(l, group)};`;
      const each = times(count, (c) => `x[${(first + c) >> 2}][${(first + c) & 3}] = v[${c}];`);
      return `  { vec4 v = ${call(l, group)}; ${each} }`;
    });
  };
  return `
${type} entry(uint index, int group) {
  int i = int(index)${groups > 1 ? ` * ${groups} + group` : ""};
  return texelFetch(table, ivec2(i & ${TABLE_WIDTH - 1}, i >> ${Math.log2(TABLE_WIDTH)}), 0)${swizzle};
}
${level("dense", corners((x, y, z) => `${x} + mask * (${y} + mask * ${z})`))}
${level("hashed", `a.yz *= uvec2(2654435761u, 805459861u); b.yz *= uvec2(2654435761u, 805459861u);
  ${corners((x, y, z) => `(${x} ^ ${y} ^ ${z}) & mask`)}`)}
void encode(vec3 position, out vec4 x[${quarters(levels * features)}]) {
  x[${quarters(levels * features) - 1}] = vec4(0);
${times(levels, write)}
}`;
}

/** Real spherical harmonics of a direction, as in the backends; `harmonics` fills y. */
function harmonicsSource(degree) {
  const terms = [
    ["0.28209479"],
    ["-0.4886025 * d.y", "0.4886025 * d.z", "-0.4886025 * d.x"],
    ["1.0925484 * d.x * d.y", "-1.0925484 * d.y * d.z", "0.94617469 * s.z - 0.31539156", "-1.0925484 * d.x * d.z",
      "0.54627421 * (s.x - s.y)"],
    ["0.59004358 * d.y * (s.y - 3.0 * s.x)", "2.8906114 * d.x * d.y * d.z", "0.45704579 * d.y * (1.0 - 5.0 * s.z)",
      "0.37317633 * d.z * (5.0 * s.z - 3.0)", "0.45704579 * d.x * (1.0 - 5.0 * s.z)",
      "1.4453057 * d.z * (s.x - s.y)", "0.59004358 * d.x * (3.0 * s.y - s.x)"],
  ].slice(0, degree).flat();
  return `
void harmonics(vec3 d, out vec4 y[${quarters(terms.length)}]) {
  vec3 s = d * d;
  y[${quarters(terms.length) - 1}] = vec4(0);
${times(terms.length, (i) => `  y[${i >> 2}][${i & 3}] = ${terms[i]};`)}
}`;
}

/** A layer of an MLP as a function on arrays of vec4, whose matrix is the uniform block `name`. */
function layerSource(name, inputs, outputs, relu) {
  const [I, O] = [inputs, outputs].map(quarters);
  return `
layout(std140) uniform ${name}Block { vec4 ${name}[${O * I * 4}]; };
void run_${name}(vec4 x[${I}], out vec4 y[${O}]) {
  for (int o = 0; o < ${O}; ++o) {
    vec4 sum = vec4(0);
    int k = o * ${I * 4};
    for (int i = 0; i < ${I}; ++i, k += 4)
      sum += ${name}[k] * x[i].x + ${name}[k + 1] * x[i].y + ${name}[k + 2] * x[i].z + ${name}[k + 3] * x[i].w;
    y[o] = ${relu ? "max(sum, 0.0)" : "sum"};
  }
}`;
}

/**
 * Names, block sizes and shapes of all layers. The first colour layer reads the density MLP's outputs and the
 * harmonics, each filled up to whole vec4; `split` is where the harmonics begin in the model's own matrix.
 */
function layers(network) {
  const { density, color } = matrixShapes(network);
  const geometry = network.geometry_features;
  const named = (kind, shapes) =>
    shapes.map(([inputs, outputs], i) => ({ name: kind + i, inputs, outputs, relu: i + 1 < shapes.length }));
  const colors = named("color", color);
  Object.assign(colors[0], { split: geometry, padded: 4 * (quarters(geometry) + quarters(network.sh_degree ** 2)) });
  return { density: named("density", density), color: colors };
}

/** Calls of an MLP's layers on the array `first`; the last layer's array is named `last`. */
function runs(some, first, last) {
  return some.map(({ name, outputs }, i) => {
    const [from, to] = [i ? `${name}_in` : first, i + 1 < some.length ? `${some[i + 1].name}_in` : last];
    return `vec4 ${to}[${quarters(outputs)}]; run_${name}(${from}, ${to});`;
  }).join("\n    ");
}

/** The fragment shader of a model (the page's description of it). */
function fragmentShader(model) {
  const { network, levels, grid, march_steps } = model;
  const all = layers(network), geometry = quarters(network.geometry_features);
  const harmonic = quarters(network.sh_degree ** 2);
  return `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler3D;
uniform sampler2D table;      // of the hash encoding, row after row
uniform sampler3D clearance;  // of each cell: cells to the nearest occupied one (Chebyshev), over 255
uniform mat3 axes;            // of the camera, in columns: right, up, backward
uniform vec3 eye;             // in the unit cube
uniform vec4 lens;            // focal length, principal point, width in pixels of the square in which rays lie
uniform vec2 size;            // of the whole picture in pixels
uniform int rays;             // along each edge of a pixel
uniform vec3 background;
uniform vec2 range;           // depths from bright to dark, where depth is shown; else 0, 0
out vec4 pixel;

const float STEP = ${Math.sqrt(3) / march_steps};
${encodingSource(network, levels)}
${harmonicsSource(network.sh_degree)}
${[...all.density, ...all.color].map((l) => layerSource(l.name, l.padded || l.inputs, l.outputs, l.relu)).join("")}

// The first march step >= k with a sample in an occupied cell; -1 if there is none before the ray leaves the cube.
int next_sample(vec3 origin, vec3 direction, int k, float start, float far) {
  vec3 inverse = ${float(1 / grid)} / mix(direction, vec3(1e-9), lessThan(abs(direction), vec3(1e-9)));
  for (;;) {
    float t = start + float(k) * STEP;
    if (t >= far) return -1;
    vec3 scaled = (origin + t * direction) * ${float(grid)};
    vec3 cell = clamp(floor(scaled), 0.0, ${float(grid - 1)});
    float free = floor(texelFetch(clearance, ivec3(cell), 0).r * 255.0 + 0.5);
    if (free == 0.0) return k;
    vec3 wall = mix(cell - (free - 1.0), cell + free, greaterThan(direction, vec3(0)));
    vec3 leave = abs((wall - scaled) * inverse);
    k += max(1, int(ceil(min(leave.x, min(leave.y, leave.z)) / STEP)));
  }
}

// Colour over black, and the light that is left; what is too faint to have a colour shows the background. depth: the sum of weight times distance.
vec4 trace(vec3 origin, vec3 direction, float jitter, out float depth) {
  vec3 inverse = 1.0 / mix(direction, vec3(1e-9), lessThan(abs(direction), vec3(1e-9)));
  vec3 t0 = -origin * inverse, t1 = (1.0 - origin) * inverse, enter = min(t0, t1), leave = max(t0, t1);
  float near = max(max(enter.x, 0.0), max(enter.y, enter.z)), far = min(leave.x, min(leave.y, leave.z));
  float start = near + jitter * STEP, left = 1.0, owed = 0.0;
  vec3 color = vec3(0), last = background;
  vec4 y[${harmonic}];
  harmonics(direction, y);
  depth = 0.0;
  for (int k = next_sample(origin, direction, 0, start, far); k >= 0;
       k = next_sample(origin, direction, k + 1, start, far)) {
    float t = start + float(k) * STEP;
    vec4 x[${quarters(network.levels * network.features)}];
    encode(clamp(origin + t * direction, 0.0, 1.0), x);
    ${runs(all.density, "x", "raw")}
    float after = left * exp(-exp(min(raw[0].x, ${float(MAX_LOG_DENSITY)})) * STEP);
    float weight = left - after;
    left = after;
    depth += weight * t;
    owed += weight;
    bool ends = left < ${MIN_TRANSMITTANCE};
    if (owed > ${FAINT} || (ends && owed > 0.0)) {
      vec4 z[${geometry + harmonic}];
      ${times(geometry, (i) => `z[${i}] = raw[${i}];`)}
      ${times(harmonic, (i) => `z[${geometry + i}] = y[${i}];`)}
      ${runs(all.color, "z", "rgb")}
      last = 1.0 / (1.0 + exp(-rgb[0].xyz));
      color += owed * last;
      owed = 0.0;
    }
    if (ends) break;
  }
  return vec4(color + owed * last, left);
}

// A pixel shows the mean light of its rays, which sRGB values stand for: see obj2ngp.ngp.light.
vec3 light_of(vec3 value) {
  return mix(pow((value + 0.055) / 1.055, vec3(2.4)), value / 12.92, lessThan(value, vec3(0.04045)));
}
vec3 srgb_of(vec3 light) {
  return mix(1.055 * pow(light, vec3(1.0 / 2.4)) - 0.055, light * 12.92, lessThan(light, vec3(0.0031308)));
}

void main() {
  vec3 light = vec3(0);
  float opacity = 0.0, distance = 0.0;
  vec2 corner = vec2(gl_FragCoord.x, size.y - gl_FragCoord.y);
  for (int i = 0; i < rays * rays; ++i) {
    vec2 inside = (vec2(i % rays, i / rays) + 0.5) / float(rays) - 0.5;
    vec2 at = (corner + inside * lens.w - lens.yz) / lens.x;
    float depth;
    float jitter = (float((i * (rays + 1)) % (rays * rays)) + 0.5) / float(rays * rays); // see Renderer._pixels
    vec4 seen = trace(eye, normalize(axes * vec3(at.x, -at.y, -1.0)), jitter, depth);
    float here = 1.0 - seen.a;
    light += here * light_of(clamp(seen.rgb / max(here, 1e-6), 0.0, 1.0));
    opacity += here;
    distance += depth;
  }
  pixel = vec4(mix(background, srgb_of(light / max(opacity, 1e-6)), opacity / float(rays * rays)), 1);
  if (range.y > 0.0) {
    float far = clamp((distance / max(opacity, 1e-6) - range.x) / (range.y - range.x), 0.0, 1.0);
    vec3 shade = mix(mix(vec3(1, 0.94, 0.7), vec3(0.8, 0.3, 0.4), smoothstep(0.0, 0.5, far)),
                     vec3(0.1, 0.08, 0.3), smoothstep(0.5, 1.0, far));
    pixel = vec4(mix(background, shade, opacity / float(rays * rays)), 1);
  }
}`;
}
