// Rejects privileged runs, except of some groups.

import { get } from "wharf:plugin/settings@0.1.0";

// What administrators see of the `[settings]` table.
const schema = {
  type: "object",
  properties: {
    except: { type: "array", items: { type: "string" }, description: "The groups whose runs may be privileged." },
  },
  additionalProperties: false,
};

export const metadata = {
  describe() {
    const settingsSchema = JSON.stringify(schema);
    return { name: "policy-js", version: "0.1.0", description: "Rejects privileged runs, except of some groups", settingsSchema };
  },
  // What is thrown is the error that the administrator sees.
  validateSettings(text) {
    const { except = [], ...unknown } = JSON.parse(text);
    for (const key of Object.keys(unknown)) throw `unknown key ${key}; there is except`;
    if (!Array.isArray(except) || except.some((group) => typeof group !== "string")) {
      throw "except: it must be a list of groups";
    }
  },
};

export const policyEvaluation = {
  role() {
    return "validating";
  },
  evaluate(plan, usage) {
    const { except = [] } = JSON.parse(get());
    const { user, groups } = plan.requester;
    if (!plan.security.privileged || except.some((group) => group === "*" || groups.includes(group))) {
      return { tag: "accept", val: { changes: [], limits: [], warnings: [] } };
    }
    const message = `${user} may not run privileged containers; set privileged = false`;
    return { tag: "reject", val: [{ rule: "privileged", message, field: "security.privileged" }] };
  },
};
