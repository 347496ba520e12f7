"""{{description}}."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.metadata import Info
from wit_world.exports.permission_check import Verdict_Allow, Verdict_Deny
from wit_world.imports import settings
from wit_world.imports.types import Limit, Reason, WhenFull

# What administrators see of the `[settings]` table.
SCHEMA = {
    "type": "object",
    "properties": {
        "groups": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "description": "The groups whose members may run recipes of a project. "
            "Projects that aren't here are for everybody.",
        },
        "running": {
            "type": "integer",
            "minimum": 1,
            "description": "How many runs of one project there may be at once. Further ones wait.",
        },
    },
    "additionalProperties": False,
}


class Metadata(exports.Metadata):
    def describe(self):
        return Info("{{name}}", "0.1.0", "{{description}}", json.dumps(SCHEMA))

    def validate_settings(self, text):
        given = json.loads(text)
        unknown = sorted(given.keys() - SCHEMA["properties"].keys())
        if unknown:
            raise Err(f"unknown key {unknown[0]}; there are groups and running")
        groups = given.get("groups", {})
        if not isinstance(groups, dict):
            raise Err("groups: it must be a table of projects and their groups")
        for project, names in groups.items():
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise Err(f"groups.{project}: it must be a list of groups")
        running = given.get("running", 1)
        if type(running) is not int or running < 1:
            raise Err("running: it must be a whole number, 1 or more; leave the key out for no limit")


class PermissionCheck(exports.PermissionCheck):
    def check(self, request, usage):
        given = json.loads(settings.get())
        project = request.project
        if project is None:
            return Verdict_Allow([])
        groups = given.get("groups", {}).get(project)
        if groups is not None and not set(groups) & {"*", *request.requester.groups}:
            user = request.requester.user
            message = f"{user} is in no group that may run recipes of {project}: it is for {', '.join(groups)}"
            return Verdict_Deny([Reason("project-group", message, None)])
        # The host counts: a hundred runs that are asked for at once would all see the same usage.
        running = given.get("running")
        if running is None:
            return Verdict_Allow([])
        return Verdict_Allow([Limit(f"project:{project}", "running", running, WhenFull.WAIT)])
