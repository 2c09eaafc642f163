// Shows /openapi.json: operations with parameters, shapes and a form to try each one.
"use strict";

function element(name, properties, ...children) {
  const node = Object.assign(document.createElement(name), properties || {});
  node.append(...children);
  return node;
}

function refName(schema) {
  return schema && schema.$ref ? schema.$ref.split("/").pop() : null;
}

function typeText(schema) {
  if (!schema || Object.keys(schema).length === 0) return "anything";
  const name = refName(schema);
  if (name) return name;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeText).join(" | ");
  if (schema.type === "array") return "list of " + typeText(schema.items);
  if (schema.type === "object" && schema.additionalProperties && schema.additionalProperties !== true) {
    return "object of " + typeText(schema.additionalProperties);
  }
  return schema.type || "anything";
}

function boundsText(schema) {
  const bounds = [];
  for (const key of ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"]) {
    if (schema && schema[key] !== undefined) bounds.push(key + " " + schema[key]);
  }
  return bounds.join(", ");
}

function linkedType(schema) {
  const node = element("code", {}, typeText(schema));
  const name = refName(schema) || refName(schema && schema.items) || refName(schema && schema.additionalProperties);
  return name ? element("a", { href: "#shape-" + name }, node) : node;
}

function table(headings, rows) {
  const head = element("tr", {}, ...headings.map((text) => element("th", {}, text)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function shapeTable(schema) {
  const required = new Set(schema.required || []);
  return table(
    ["field", "type", "meaning"],
    Object.entries(schema.properties || {}).map(([name, field]) => [
      element("code", {}, name + (required.has(name) ? "" : "?")),
      linkedType(field),
      [field.description, boundsText(field)].filter(Boolean).join(" "),
    ]),
  );
}

function example(schema, schemas, depth) {
  if (!schema || depth > 4) return null;
  const name = refName(schema);
  if (name) return example(schemas[name], schemas, depth + 1);
  if (schema.default !== undefined) return schema.default;
  if (schema.examples) return schema.examples[0];
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return example(schema.anyOf[0], schemas, depth + 1);
  if (schema.type === "array") return [];
  if (schema.type === "integer" || schema.type === "number") return 0;
  if (schema.type === "boolean") return false;
  if (schema.type === "string") return "";
  const filled = {};
  for (const field of schema.required || []) {
    filled[field] = example((schema.properties || {})[field], schemas, depth + 1);
  }
  return filled;
}

function buildRequest(method, path, parameters, inputs, body) {
  const query = new URLSearchParams();
  const headers = { "Content-Type": "application/json" };
  let address = path;
  for (const parameter of parameters) {
    const value = inputs[parameter.name].value;
    if (parameter.in === "path") {
      address = address.replace("{" + parameter.name + "}", encodeURIComponent(value));
    } else if (value !== "" && parameter.in === "query") {
      query.set(parameter.name, value);
    } else if (value !== "") {
      headers[parameter.name] = value;
    }
  }
  const text = query.toString();
  return [address + (text ? "?" + text : ""), { method, headers, body: body ? body.value : undefined }];
}

async function showAnswer(response, output, line) {
  line.textContent = response.status + " " + response.statusText + ", " + (response.headers.get("Content-Type") || "");
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
    output.textContent = text;
  }
  if ((response.headers.get("Content-Type") || "").startsWith("application/json")) {
    output.textContent = JSON.stringify(JSON.parse(text), null, 2);
  }
}

function tryForm(method, path, operation, schemas) {
  const parameters = operation.parameters || [];
  const inputs = {};
  const rows = parameters.map((parameter) => {
    inputs[parameter.name] = element("input", { name: parameter.name, required: parameter.required });
    return element("p", {}, element("label", {}, parameter.name + " (" + parameter.in + ")", inputs[parameter.name]));
  });
  let body = null;
  if (operation.requestBody) {
    const schema = operation.requestBody.content["application/json"].schema;
    body = element("textarea", { value: JSON.stringify(example(schema, schemas, 0), null, 2), spellcheck: false });
    rows.push(element("p", {}, element("label", {}, "body", body)));
  }
  const line = element("p");
  const output = element("pre", { hidden: true });
  const stop = element("button", { type: "button", disabled: true }, "Stop");
  const form = element("form", {}, ...rows, element("button", {}, "Send"), stop, line, output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const abort = new AbortController();
    stop.disabled = false;
    stop.onclick = () => abort.abort();
    output.hidden = false;
    output.textContent = "";
    line.textContent = "waiting";
    try {
      const [address, options] = buildRequest(method, path, parameters, inputs, body);
      await showAnswer(await fetch(address, { ...options, signal: abort.signal }), output, line);
    } catch (error) {
      line.textContent += " (" + error.message + ")";
    }
    stop.disabled = true;
  });
  return form;
}

function operationNode(method, path, operation, schemas) {
  const details = element("details", { id: operation.operationId });
  details.dataset.text = (method + " " + path + " " + operation.summary).toLowerCase();
  details.append(element("summary", {},
    element("span", { className: "method" }, method.toUpperCase()),
    element("span", { className: "address" }, path),
    element("span", { className: "summary" }, operation.summary)));
  details.addEventListener("toggle", () => fillOperation(details, method, path, operation, schemas), { once: true });
  return details;
}

function fillOperation(details, method, path, operation, schemas) {
  if (operation.description) details.append(element("p", {}, operation.description));
  const parameters = operation.parameters || [];
  if (parameters.length) {
    details.append(element("h4", {}, "Parameters"), table(["name", "in", "type", "meaning"], parameters.map((parameter) => [
      element("code", {}, parameter.name + (parameter.required ? "" : "?")),
      parameter.in,
      element("code", {}, typeText(parameter.schema)),
      [parameter.description, boundsText(parameter.schema)].filter(Boolean).join(" "),
    ])));
  }
  if (operation.requestBody) {
    details.append(element("h4", {}, "Body: ", linkedType(operation.requestBody.content["application/json"].schema)));
  }
  details.append(element("h4", {}, "Answers"), table(["status", "what", "shape"],
    Object.entries(operation.responses).map(([status, response]) => {
      const [type, content] = Object.entries(response.content || { none: {} })[0];
      const shape = content.itemSchema ? content.itemSchema.properties.data.contentSchema : content.schema;
      return [status, response.description + " (" + type + ")", linkedType(shape)];
    })));
  if (!path.startsWith("/ws/")) {
    details.append(element("h4", {}, "Try it"), tryForm(method.toUpperCase(), path, operation, schemas));
  }
}

function showShapes(schemas) {
  const target = document.getElementById("schemas");
  for (const name of Object.keys(schemas).sort()) {
    const schema = schemas[name];
    const details = element("details", { id: "shape-" + name }, element("summary", {}, element("code", {}, name)));
    if (schema.description) details.append(element("p", {}, schema.description));
    details.append(schema.properties ? shapeTable(schema) : element("pre", {}, JSON.stringify(schema, null, 2)));
    target.append(details);
  }
}

function showOperations(document_) {
  const target = document.getElementById("operations");
  const topics = new Map();
  const sockets = Object.entries(document_["x-websockets"]).map(([path, socket]) => [path, { get: socket }]);
  for (const [path, item] of [...Object.entries(document_.paths), ...sockets]) {
    for (const [method, operation] of Object.entries(item)) {
      const topic = operation.tags[0];
      if (!topics.has(topic)) topics.set(topic, element("section", {}, element("h2", {}, topic)));
      topics.get(topic).append(operationNode(method, path, operation, document_.components.schemas));
    }
  }
  target.append(...topics.values());
}

function watchFilter() {
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    for (const details of document.querySelectorAll("#operations details")) {
      details.hidden = !details.dataset.text.includes(wanted);
    }
    for (const section of document.querySelectorAll("#operations section")) {
      section.hidden = !section.querySelector("details:not([hidden])");
    }
  });
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") target.open = true;
}

async function start() {
  const response = await fetch("/openapi.json");
  const openapi = await response.json();
  document.getElementById("title").textContent = openapi.info.title + " " + openapi.info.version;
  document.getElementById("description").textContent = openapi.info.description;
  showOperations(openapi);
  showShapes(openapi.components.schemas);
  watchFilter();
  window.addEventListener("hashchange", openTarget);
  openTarget();
}

start().catch((error) => {
  const problem = document.getElementById("problem");
  problem.hidden = false;
  problem.textContent = "The document could not be shown: " + error.message;
});
