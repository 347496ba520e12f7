"""Rejects privileged runs, except of some groups."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.metadata import Info
from wit_world.exports.policy_evaluation import Acceptance, Decision_Accept, Decision_Reject, PolicyRole
from wit_world.imports import settings
from wit_world.imports.types import Reason

# What administrators see of the `[settings]` table.
SCHEMA = {
    "type": "object",
    "properties": {
        "except": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The groups whose runs may be privileged.",
        },
    },
    "additionalProperties": False,
}


class Metadata(exports.Metadata):
    def describe(self):
        return Info("policy-python", "0.1.0", "Rejects privileged runs, except of some groups", json.dumps(SCHEMA))

    def validate_settings(self, text):
        given = json.loads(text)
        unknown = sorted(given.keys() - SCHEMA["properties"].keys())
        if unknown:
            raise Err(f"unknown key {unknown[0]}; there is except")
        groups = given.get("except", [])
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            raise Err("except: it must be a list of groups")


class PolicyEvaluation(exports.PolicyEvaluation):
    def role(self):
        return PolicyRole.VALIDATING

    def evaluate(self, plan, usage):
        excepted = set(json.loads(settings.get()).get("except", []))
        if not plan.security.privileged or excepted & {"*", *plan.requester.groups}:
            return Decision_Accept(Acceptance(changes=[], limits=[], warnings=[]))
        message = f"{plan.requester.user} may not run privileged containers; set privileged = false"
        return Decision_Reject([Reason("privileged", message, "security.privileged")])
