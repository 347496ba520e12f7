"""{{description}}."""

import json
import re

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.image_recipe_generation import ImageRecipe, RunStep, Step_Label, Step_Run
from wit_world.exports.metadata import Info
from wit_world.imports import settings

# What administrators see of the `[settings]` table.
SCHEMA = {
    "type": "object",
    "properties": {
        "packages": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Packages of Alpine Linux that every image gets.",
        },
    },
    "additionalProperties": False,
}
# What Alpine calls the languages.
LANGUAGES = {"python": ["python3", "py3-pip", "py3-pandas"], "r": ["R"]}


class Metadata(exports.Metadata):
    def describe(self):
        return Info("{{name}}", "0.1.0", "{{description}}", json.dumps(SCHEMA))

    def validate_settings(self, text):
        given = json.loads(text)
        unknown = sorted(given.keys() - SCHEMA["properties"].keys())
        if unknown:
            raise Err(f"unknown key {unknown[0]}; there is packages")
        packages = given.get("packages", [])
        if not isinstance(packages, list) or not all(isinstance(package, str) for package in packages):
            raise Err("packages: it must be a list of packages")
        for package in packages:
            check(package)


class ImageRecipeGeneration(exports.ImageRecipeGeneration):
    # Pure: equal specs give equal steps, so everything is sorted.
    def generate(self, spec):
        if not spec.origin.startswith("from:"):
            raise Err('an Alpine image starts from another one; write from = "alpine:3.22" instead of a bootstrap')
        packages = {"ca-certificates", *json.loads(settings.get()).get("packages", [])}
        for package in spec.system_packages:
            check(package)
            packages.add(package)
        for language in spec.languages:
            if language.name not in LANGUAGES:
                raise Err(f"Alpine images have python and r, not {language.name}")
            if language.version is not None or language.packages:
                raise Err(f"{language.name}: Alpine has one version, and no packages of its own index")
            packages.update(LANGUAGES[language.name])
        script = f"apk add --no-cache {' '.join(sorted(packages))}\n"
        labels = sorted(spec.labels, key=lambda label: label.key)
        steps = [Step_Run(RunStep("install packages", script)), *(Step_Label(label) for label in labels)]
        return ImageRecipe(steps=steps, files=[], bootstrap_packages=[])

    def generate_environment(self, base, environment):
        raise Err(f"this image recipe makes no code environments, so {environment.name} can't be had here")


def check(package):
    """A name that may stand in a script."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+._-]*", package):
        raise Err(f'"{package}" is no name of an Alpine package, such as git')
