// {{description}}.

import { get } from "wharf:plugin/settings@{{wit}}";

// What administrators see of the `[settings]` table.
const schema = {
  type: "object",
  properties: {
    options: {
      type: "array",
      items: { type: "string" },
      description: "The options of Python that every recipe is run with.",
    },
  },
  additionalProperties: false,
};

/** A text in UTF-8: there is no TextEncoder here. */
function bytes(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (character) => character.charCodeAt(0));
}

export const metadata = {
  describe() {
    const settingsSchema = JSON.stringify(schema);
    return { name: "{{name}}", version: "0.1.0", description: "{{description}}", settingsSchema };
  },
  // What is thrown is the error that the administrator sees.
  validateSettings(text) {
    const { options = [], ...unknown } = JSON.parse(text);
    for (const key of Object.keys(unknown)) throw `unknown key ${key}; there is options`;
    if (!Array.isArray(options) || options.some((option) => typeof option !== "string")) {
      throw "options: it must be a list of texts";
    }
  },
};

export const recipeAdaptation = {
  offers() {
    const description = "Runs Python code in Python's development mode.";
    return [{ kind: "python", label: "Python recipe", description }];
  },
  // This component offers no plugins, so it isn't asked.
  readPlugin(folder) {
    return undefined;
  },
  // What is thrown is all that is wrong, a sentence each, for the person who started the activity.
  prepare(activity) {
    const code = activity.code ?? "";
    if (code.trim() === "") {
      throw ["the activity has no Python code; give it some with --python FILE or the key code"];
    }
    const { options = ["-X", "dev"] } = JSON.parse(get());
    const contents = { tag: "inline", val: bytes(code) };
    return {
      argv: ["python3", ...options, "recipe.py"],
      env: [
        { key: "PYTHONPATH", value: "/opt/wharf/python" },
        { key: "DKU_CONTAINER_EXEC", value: "1" },
      ],
      files: [{ path: "recipe.py", contents, executable: false }],
      languages: [{ name: "python", packages: [] }],
      secrets: [],
      folders: [],
      keepsWhenStopped: false,
    };
  },
};
