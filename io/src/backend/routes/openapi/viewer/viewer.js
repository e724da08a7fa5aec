// Shows the OpenAPI document of the Backend that serves this page, and sends what is tried to it.
"use strict";

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value);
  }
  // Texts become text nodes: nothing that is shown is read as HTML.
  element.append(...children.filter((child) => child !== null));
  return element;
};

const SCHEMAS = "#/components/schemas/";

/** A schema as JSON, its references as links. */
function shown(schema) {
  const pre = make("pre");
  for (const part of JSON.stringify(schema, null, 2).split(/("#\/components\/schemas\/[^"]+")/)) {
    const name = part.startsWith(`"${SCHEMAS}`) ? part.slice(SCHEMAS.length + 1, -1) : null;
    pre.append(name ? make("a", { href: `#schema-${name}` }, part) : part);
  }
  return pre;
}

/** An example of what a schema wants: what must be there, and nothing else. */
function example(api, schema, depth = 0) {
  if (!schema || depth > 6) return null;
  if (schema.$ref) {
    return example(api, api.components.schemas[schema.$ref.slice(SCHEMAS.length)], depth + 1);
  }
  if (schema.examples) return schema.examples[0];
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choice = schema.oneOf ?? schema.anyOf;
  if (choice) return example(api, choice[0], depth + 1);
  const type = [schema.type].flat()[0];
  if (type === "object") {
    const required = schema.required ?? [];
    return Object.fromEntries(
      required.map((name) => [name, example(api, schema.properties?.[name], depth + 1)]),
    );
  }
  return { string: "", integer: schema.minimum ?? 0, number: 0, boolean: false, array: [] }[type] ?? null;
}

function parameters(list) {
  const inputs = new Map();
  const rows = list.map((parameter) => {
    const input = make("input", { "aria-label": parameter.name, spellcheck: "false" });
    inputs.set(parameter, input);
    const { maxLength, minLength, ...rest } = parameter.schema;
    return make("tr", {},
      make("td", {}, make("code", {}, parameter.name), parameter.required ? " (must be there)" : ""),
      make("td", {}, parameter.in),
      make("td", {}, parameter.description ?? "", " ", make("code", {}, JSON.stringify(rest))),
      make("td", {}, input));
  });
  return [make("table", {}, ...rows), inputs];
}

async function send(method, path, inputs, body, output) {
  const query = new URLSearchParams();
  let address = path;
  for (const [parameter, input] of inputs) {
    if (parameter.in === "path") {
      address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    } else if (input.value !== "") {
      query.set(parameter.name, input.value);
    }
  }
  const search = query.size ? `?${query}` : "";
  const headers = {};
  const token = document.getElementById("token").value;
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== null) headers["Content-Type"] = "application/json";
  output.textContent = "…";
  try {
    const response = await fetch(address + search, {
      method: method.toUpperCase(), headers, body, cache: "no-store", credentials: "omit",
    });
    let text = await response.text();
    try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* Not every reply is JSON. */ }
    output.textContent = `${response.status} ${response.statusText}\n${text}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

function operation(api, path, method, told) {
  const [table, inputs] = parameters(told.parameters ?? []);
  const wanted = told.requestBody?.content["application/json"].schema;
  const body = wanted
    ? make("textarea", { "aria-label": "body", spellcheck: "false" }, JSON.stringify(example(api, wanted), null, 2))
    : null;
  const output = make("pre", { "aria-live": "polite" });
  const button = make("button", { type: "button" }, "Try it");
  button.addEventListener("click", () => send(method, path, inputs, body && (body.value || null), output));
  const replies = Object.entries(told.responses).map(([status, reply]) => {
    const [kind, content] = Object.entries(reply.content ?? {})[0] ?? ["", null];
    return make("details", {},
      make("summary", {}, make("code", {}, status), ` ${reply.description} `, make("code", {}, kind)),
      make("div", {}, content ? shown(content.schema) : ""));
  });
  return make("details", { id: told.operationId, class: "operation" },
    make("summary", {},
      make("span", { class: "method" }, method.toUpperCase()),
      make("span", { class: "path" }, path),
      make("span", { class: "what" }, told.summary)),
    make("div", {},
      make("p", {}, told.description),
      inputs.size ? make("h4", {}, "Parameters") : null,
      inputs.size ? table : null,
      wanted ? make("h4", {}, "Body") : null,
      wanted ? shown(wanted) : null,
      body,
      make("p", {}, button),
      output,
      make("h4", {}, "Replies"),
      ...replies));
}

async function start() {
  const api = await (await fetch("/api/openapi.json")).json();
  document.getElementById("about").textContent = `Version ${api.info.version}. ${api.info.description}`;
  const sections = new Map(api.tags.map(({ name }) => [name, make("section", {}, make("h2", {}, name))]));
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, told] of Object.entries(methods)) {
      sections.get(told.tags[0]).append(operation(api, path, method, told));
    }
  }
  document.getElementById("operations").append(...sections.values());
  document.getElementById("schemas").append(
    ...Object.entries(api.components.schemas).map(([name, schema]) =>
      make("details", { id: `schema-${name}` }, make("summary", {}, name), make("div", {}, shown(schema)))),
  );
  document.getElementById("find").addEventListener("input", ({ target }) => {
    const words = target.value.toLowerCase();
    for (const element of document.querySelectorAll("details.operation")) {
      const text = element.querySelector("summary").textContent.toLowerCase();
      element.hidden = !text.includes(words);
    }
  });
  const open = () => {
    const element = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (element instanceof HTMLDetailsElement) element.open = true;
    element?.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
}

start().catch((error) => {
  document.getElementById("about").textContent = `The document could not be shown: ${error}`;
});
