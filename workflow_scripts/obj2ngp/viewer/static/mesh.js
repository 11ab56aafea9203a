// The source mesh on a canvas of its own, as the camera of the field sees it.
"use strict";

const MESH_VERTEX_SHADER = `#version 300 es
uniform mat3 axes;
uniform vec3 eye, low;
uniform vec4 lens; // 2 focal / width, 2 focal / height, and the principal point from -1 to 1
uniform vec2 range;
uniform float cell;
layout(location = 0) in vec3 place;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec3 color;
out vec3 shade;
void main() {
  vec3 world = low + cell * place, p = (world - eye) * axes;
  float n = range.x, f = range.y;
  gl_Position = vec4(lens.x * p.x - lens.z * p.z, lens.y * p.y - lens.w * p.z, -(p.z * (f + n) + 2.0 * f * n) / (f - n), -p.z);
  float facing = abs(dot(normalize(normal), normalize(world - eye)));
  shade = color * (0.72 + 0.28 * facing);
}`;
const MESH_FRAGMENT_SHADER = `#version 300 es
precision highp float;
in vec3 shade;
out vec4 color;
void main() { color = vec4(shade, 1); }`;

class SourceMesh {
  /** `model` describes the mesh; `bytes`: places, triangles, normals and colours; see obj2ngp.viewer.source. */
  constructor(canvas, model, bytes) {
    const gl = canvas.getContext("webgl2", { antialias: true });
    if (!gl) throw new FieldError("This browser has no WebGL 2.");
    Object.assign(this, { gl, model });
    const { vertices, triangles, normal, color } = model, columns = new Uint16Array(bytes.buffer, 0, 3 * (vertices + triangles));
    const sums = (begin, count) => {
      const column = columns.subarray(begin, begin + count);
      for (let i = 1; i < count; ++i) column[i] += column[i - 1];
      return column;
    };
    const interleaved = (count, begin) => {
      const all = [0, 1, 2].map((c) => sums(begin + c * count, count)), result = new Uint16Array(3 * count);
      for (let i = 0; i < count; ++i) result.set([all[0][i], all[1][i], all[2][i]], 3 * i);
      return result;
    };
    const rest = columns.byteLength;
    const turned = (array) => Float32Array.from(array, (_, i) => array[(i % 3) * vertices + Math.floor(i / 3)]);
    const attributes = [
      Float32Array.from(interleaved(vertices, 0)),
      turned(new Int8Array(bytes.buffer, rest, 3 * vertices)).map((x) => x / normal),
      turned(new Uint8Array(bytes.buffer, rest + 3 * vertices, 3 * vertices)).map((x) => x / color),
    ];
    attributes.forEach((values, place) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
    });
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, interleaved(triangles, 3 * vertices), gl.STATIC_DRAW);
    this.program = linked(gl, MESH_VERTEX_SHADER, MESH_FRAGMENT_SHADER);
    gl.useProgram(this.program);
    gl.enable(gl.DEPTH_TEST);
  }

  /** Draws the picture of a `framed` lens on a background [r, g, b]; lengths of the world count in `unit`. */
  draw({ pose, focal, center }, unit, background) {
    const { gl, model } = this, { canvas } = gl, dense = Math.min(devicePixelRatio, 2);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((x) => Math.max(1, Math.round(x * dense)));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(...background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const column = (c) => pose.slice(0, 3).map((row) => row[c]), at = (name) => gl.getUniformLocation(this.program, name);
    gl.uniformMatrix3fv(at("axes"), false, [...column(0), ...column(1), ...column(2)]);
    gl.uniform3fv(at("eye"), column(3));
    gl.uniform3fv(at("low"), model.low);
    gl.uniform1f(at("cell"), model.step);
    gl.uniform2f(at("range"), 0.01 * unit, 30 * unit);
    gl.uniform4f(at("lens"), 2 * focal, (2 * focal * width) / height, 2 * center[0] - 1, 1 - 2 * center[1]);
    gl.drawElements(gl.TRIANGLES, 3 * model.triangles, gl.UNSIGNED_SHORT, 0);
  }
}
