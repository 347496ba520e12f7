// {{description}}.

import { get } from "wharf:plugin/settings@{{wit}}";

// What administrators see of the `[settings]` table.
const schema = {
  type: "object",
  properties: {
    packages: {
      type: "array",
      items: { type: "string" },
      description: "Packages of Alpine Linux that every image gets.",
    },
  },
  additionalProperties: false,
};
// What Alpine calls the languages.
const languages = new Map([
  ["python", ["python3", "py3-pip", "py3-pandas"]],
  ["r", ["R"]],
]);

/** A name that may stand in a script. */
function check(name) {
  if (!/^[A-Za-z0-9][A-Za-z0-9+._-]*$/.test(name)) throw `"${name}" is no name of an Alpine package, such as git`;
}

export const metadata = {
  describe() {
    const settingsSchema = JSON.stringify(schema);
    return { name: "{{name}}", version: "0.1.0", description: "{{description}}", settingsSchema };
  },
  // What is thrown is the error that the administrator sees.
  validateSettings(text) {
    const { packages = [], ...unknown } = JSON.parse(text);
    for (const key of Object.keys(unknown)) throw `unknown key ${key}; there is packages`;
    if (!Array.isArray(packages) || packages.some((name) => typeof name !== "string")) {
      throw "packages: it must be a list of packages";
    }
    packages.forEach(check);
  },
};

export const imageRecipeGeneration = {
  // Pure: equal specs give equal steps, so everything is sorted.
  generate(spec) {
    if (!spec.origin.startsWith("from:")) {
      throw 'an Alpine image starts from another one; write from = "alpine:3.22" instead of a bootstrap';
    }
    const { packages = [] } = JSON.parse(get());
    spec.systemPackages.forEach(check);
    const all = new Set(["ca-certificates", ...packages, ...spec.systemPackages]);
    for (const { name, version, packages: own } of spec.languages) {
      if (!languages.has(name)) throw `Alpine images have python and r, not ${name}`;
      if (version !== null || own.length > 0) {
        throw `${name}: Alpine has one version, and no packages of its own index`;
      }
      languages.get(name).forEach((one) => all.add(one));
    }
    const script = `apk add --no-cache ${[...all].sort().join(" ")}\n`;
    const labels = spec.labels.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    const steps = [{ tag: "run", val: { title: "install packages", script } }];
    labels.forEach((label) => steps.push({ tag: "label", val: label }));
    return { steps, files: [], bootstrapPackages: [] };
  },
  generateEnvironment(base, environment) {
    throw `this image recipe makes no code environments, so ${environment.name} can't be had here`;
  },
};
