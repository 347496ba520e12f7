// {{description}}.

import { get } from "wharf:plugin/settings@{{wit}}";

// What administrators see of the `[settings]` table.
const schema = {
  type: "object",
  properties: {
    groups: {
      type: "object",
      additionalProperties: { type: "array", items: { type: "string" } },
      description:
        "The groups whose members may run recipes of a project. Projects that aren't here are for everybody.",
    },
    running: {
      type: "integer",
      minimum: 1,
      description: "How many runs of one project there may be at once. Further ones wait.",
    },
  },
  additionalProperties: false,
};

export const metadata = {
  describe() {
    const settingsSchema = JSON.stringify(schema);
    return { name: "{{name}}", version: "0.1.0", description: "{{description}}", settingsSchema };
  },
  // What is thrown is the error that the administrator sees.
  validateSettings(text) {
    const { groups = {}, running = 1, ...unknown } = JSON.parse(text);
    for (const key of Object.keys(unknown)) throw `unknown key ${key}; there are groups and running`;
    if (typeof groups !== "object" || Array.isArray(groups)) {
      throw "groups: it must be a table of projects and their groups";
    }
    for (const [project, names] of Object.entries(groups)) {
      if (!Array.isArray(names) || names.some((name) => typeof name !== "string")) {
        throw `groups.${project}: it must be a list of groups`;
      }
    }
    if (!Number.isInteger(running) || running < 1) {
      throw "running: it must be a whole number, 1 or more; leave the key out for no limit";
    }
  },
};

export const permissionCheck = {
  check(request, usage) {
    const { groups = {}, running } = JSON.parse(get());
    const { project, requester } = request;
    if (project === null) return { tag: "allow", val: [] };
    const allowed = Object.hasOwn(groups, project) ? groups[project] : ["*"];
    if (!allowed.some((group) => group === "*" || requester.groups.includes(group))) {
      const who = `${requester.user} is in no group that may run recipes of ${project}`;
      return { tag: "deny", val: [{ rule: "project-group", message: `${who}: it is for ${allowed.join(", ")}` }] };
    }
    // The host counts: a hundred runs that are asked for at once would all see the same usage.
    if (running === undefined) return { tag: "allow", val: [] };
    const limit = { scope: `project:${project}`, counter: "running", maximum: running, whenFull: "wait" };
    return { tag: "allow", val: [limit] };
  },
};
