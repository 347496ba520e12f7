"""{{description}}."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.metadata import Info
from wit_world.exports.recipe_adaptation import FileContents_Inline, Job, JobFile, Offer
from wit_world.imports import settings
from wit_world.imports.types import KeyValue, Language

# What administrators see of the `[settings]` table.
SCHEMA = {
    "type": "object",
    "properties": {
        "options": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The options of Python that every recipe is run with.",
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
            raise Err(f"unknown key {unknown[0]}; there is options")
        options = given.get("options", [])
        if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
            raise Err("options: it must be a list of texts")


class RecipeAdaptation(exports.RecipeAdaptation):
    def offers(self):
        return [Offer("python", "Python recipe", "Runs Python code in Python's development mode.")]

    def read_plugin(self, folder):
        # This component offers no plugins, so it isn't asked.
        return None

    def prepare(self, activity):
        if not (activity.code or "").strip():
            raise Err(["the activity has no Python code; give it some with --python FILE or the key code"])
        options = json.loads(settings.get()).get("options", ["-X", "dev"])
        return Job(
            argv=["python3", *options, "recipe.py"],
            env=[KeyValue("PYTHONPATH", "/opt/wharf/python"), KeyValue("DKU_CONTAINER_EXEC", "1")],
            files=[JobFile("recipe.py", FileContents_Inline(activity.code.encode()), executable=False)],
            languages=[Language("python", None, [])],
            parameters=None,
            secrets=[],
            environment=None,
            folders=[],
            keeps_when_stopped=False,
        )
