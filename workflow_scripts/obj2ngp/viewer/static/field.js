// A field on the graphics card: textures and matrices from the page's data, and pictures of it.
"use strict";

/** An error that says, for readers of the page, why the field cannot be shown. */
class FieldError extends Error {}

/** The bytes of a page's data: deflated and in Base64. */
async function inflated(text) {
  if (typeof DecompressionStream === "undefined") throw new FieldError("This browser is too old for the live view.");
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The program of a vertex and a fragment shader. */
function linked(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    const logs = gl.getAttachedShaders(program).map((shader) => gl.getShaderInfoLog(shader));
    throw new FieldError("This graphics card refuses a shader. " + [...logs, gl.getProgramInfoLog(program)].join(" "));
  }
  return program;
}

/** Numbers of 16 bits (IEEE 754 binary16) as a Float32Array. */
function fromHalf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.byteLength / 2 }, (_, i) => {
    const half = view.getUint16(2 * i, true), exponent = (half >> 10) & 31, fraction = half & 1023;
    const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
    return half >> 15 ? -size : size;
  });
}

const FARTHEST = 12; // cells that a ray may skip at once: more would be of little use and take long to find

/** For each of grid^3 cells (x outermost, as bits in `bytes`): cells to the nearest occupied one, at most FARTHEST. */
function clearances(bytes, grid) {
  const result = new Uint8Array(grid ** 3).fill(FARTHEST);
  for (let i = 0; i < result.length; ++i) if ((bytes[i >> 3] >> (7 - (i & 7))) & 1) result[i] = 0;
  // The Chebyshev distance, axis by axis: within a line, d(i) = min over j of max(|i - j|, d(j)).
  const line = new Uint8Array(grid);
  for (const stride of [1, grid, grid * grid])
    for (let start = 0; start < result.length; ++start) {
      if (Math.floor(start / stride) % grid) continue;
      for (let i = 0; i < grid; ++i) line[i] = result[start + i * stride];
      for (let i = 0; i < grid; ++i) {
        let best = line[i];
        for (let reach = 1; reach < best; ++reach) {
          if (i >= reach) best = Math.min(best, Math.max(reach, line[i - reach]));
          if (i + reach < grid) best = Math.min(best, Math.max(reach, line[i + reach]));
        }
        result[start + i * stride] = best;
      }
    }
  return result;
}

class Field {
  /**
   * `model` describes the field, whose content `fill` brings.
   *
   * An empty one is drawn at once, on one pixel that nobody sees: drivers finish a shader when it first draws, and do so
   * while the page makes the content ready.
   */
  constructor(gl, model) {
    Object.assign(this, { gl, model, program: linked(gl, VERTEX_SHADER, fragmentShader(model)) });
    this.uniform = (name) => gl.getUniformLocation(this.program, name);
    this.target = { texture: gl.createTexture(), frame: gl.createFramebuffer(), width: 0, height: 0 };
    this._take(new Int8Array(model.network.features), new Float32Array(model.weights), new Uint8Array(1), 1);
    const pose = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], look = { rays: 1, background: [1, 1, 1], depth: false };
    this.prepare(1, 1, { pose, focal: 1, center: [0.5, 0.5] }, look);
    this.draw(0, 0, 1, 1);
    gl.flush();
  }

  /** Takes `bytes`: the table (8 bits a number), the matrices (16 bits) and the occupied cells (1 bit). */
  fill(bytes) {
    const { network, grid, levels, weights } = this.model;
    const table = levels.offset[network.levels] * network.features, cells = table + 2 * weights;
    this._take(new Int8Array(bytes.buffer, 0, table), fromHalf(bytes.subarray(table, cells)), bytes.subarray(cells), grid);
  }

  _take(table, weights, cells, grid) {
    this._table(table);
    this._matrices(weights);
    this._cells(cells, grid);
  }

  _texture(unit, target, name) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(target, gl.createTexture());
    gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.useProgram(this.program);
    gl.uniform1i(this.uniform(name), unit);
  }

  _table(numbers) {
    const { gl } = this, { features } = this.model.network;
    const channels = features < 3 ? features : 4, groups = Math.ceil(features / channels);
    const entries = numbers.length / features;
    const rows = Math.ceil((entries * groups) / TABLE_WIDTH);
    if (rows > gl.getParameter(gl.MAX_TEXTURE_SIZE)) throw new FieldError("The table is too large for this graphics card.");
    const texels = new Int8Array(rows * TABLE_WIDTH * channels);
    if (channels * groups === features) texels.set(numbers);
    else for (let e = 0; e < entries; ++e)
      texels.set(numbers.subarray(e * features, (e + 1) * features), e * groups * channels);
    const [inside, format] = { 1: [gl.R8_SNORM, gl.RED], 2: [gl.RG8_SNORM, gl.RG], 4: [gl.RGBA8_SNORM, gl.RGBA] }[channels];
    this._texture(0, gl.TEXTURE_2D, "table");
    gl.texImage2D(gl.TEXTURE_2D, 0, inside, TABLE_WIDTH, rows, 0, format, gl.BYTE, texels);
  }

  _matrices(weights) {
    const { gl } = this, { density, color } = layers(this.model.network);
    let first = 0;
    [...density, ...color].forEach(({ name, inputs, outputs, split, padded }, binding) => {
      const rows = 4 * quarters(padded || inputs), columns = 4 * quarters(outputs);
      const block = new Float32Array(rows * columns);
      for (let i = 0; i < inputs; ++i) {
        const row = i < split || split === undefined ? i : i - split + 4 * quarters(split);
        for (let o = 0; o < outputs; ++o) block[((o >> 2) * rows + row) * 4 + (o & 3)] = weights[first + i * outputs + o];
      }
      first += inputs * outputs;
      if (block.byteLength > gl.getParameter(gl.MAX_UNIFORM_BLOCK_SIZE))
        throw new FieldError("The network is too wide for this graphics card.");
      gl.bindBufferBase(gl.UNIFORM_BUFFER, binding, gl.createBuffer());
      gl.bufferData(gl.UNIFORM_BUFFER, block, gl.STATIC_DRAW);
      gl.uniformBlockBinding(this.program, gl.getUniformBlockIndex(this.program, name + "Block"), binding);
    });
  }

  _cells(bytes, grid) {
    const { gl } = this, cells = clearances(bytes, grid), turned = new Uint8Array(cells.length);
    for (let x = 0, i = 0; x < grid; ++x) // a texture's first axis is the innermost
      for (let y = 0; y < grid; ++y) for (let z = 0; z < grid; ++z) turned[(z * grid + y) * grid + x] = cells[i++];
    this._texture(1, gl.TEXTURE_3D, "clearance");
    gl.texImage3D(gl.TEXTURE_3D, 0, gl.R8, grid, grid, grid, 0, gl.RED, gl.UNSIGNED_BYTE, turned);
  }

  /** Makes room for a picture. */
  resize(width, height) {
    const { gl, target } = this;
    if (target.width === width && target.height === height) return;
    Object.assign(target, { width, height });
    gl.activeTexture(gl.TEXTURE2);
    gl.bindTexture(gl.TEXTURE_2D, target.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target.texture, 0);
  }

  /**
   * Says what `draw` draws into a picture of width x height pixels.
   *
   * camera  pose: 3 or 4 rows of 4, camera to world, OpenGL axes; focal and center in widths and heights of the picture
   * look    rays along a pixel's edge; background: [r, g, b]; depth: whether to show it
   */
  prepare(width, height, { pose, focal, center }, { rays, background, depth }) {
    const { gl, model } = this, { scale, offset, jitter } = model;
    this.resize(width, height);
    gl.useProgram(this.program);
    const column = (c) => pose.slice(0, 3).map((row) => row[c]);
    gl.uniformMatrix3fv(this.uniform("axes"), false, [...column(0), ...column(1), ...column(2)]);
    const eye = column(3).map((x, a) => x * scale + offset[a]);
    gl.uniform3fv(this.uniform("eye"), eye);
    gl.uniform4f(this.uniform("lens"), focal * width, center[0] * width, center[1] * height, jitter);
    gl.uniform2f(this.uniform("size"), width, height);
    gl.uniform1i(this.uniform("rays"), rays);
    gl.uniform3fv(this.uniform("background"), background);
    const away = Math.hypot(...eye.map((x) => x - 0.5));
    gl.uniform2fv(this.uniform("range"), depth ? [Math.max(0.02, away - 0.5), away + 0.5] : [0, 0]);
  }

  /** Draws a rectangle of the picture. */
  draw(x, y, width, height) {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.frame);
    gl.viewport(0, 0, this.target.width, this.target.height);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(x, y, width, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.disable(gl.SCISSOR_TEST);
  }

  /** Puts the picture onto the canvas, stretched to it. */
  show() {
    const { gl, target } = this, { width, height } = gl.canvas;
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, target.frame);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    const filter = target.width === width && target.height === height ? gl.NEAREST : gl.LINEAR;
    gl.blitFramebuffer(0, 0, target.width, target.height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, filter);
  }

  /** The picture's pixels, RGBA in rows from the top. */
  pixels() {
    const { gl, target: { width, height, frame } } = this, rows = new Uint8Array(width * height * 4);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rows);
    const turned = new Uint8Array(rows.length);
    for (let y = 0; y < height; ++y) turned.set(rows.subarray(y * width * 4, (y + 1) * width * 4), (height - 1 - y) * width * 4);
    return turned;
  }
}
