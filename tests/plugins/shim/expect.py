#!/usr/bin/env python3
"""Makes what public.rs expects: runs each example's recipe, unchanged, over the local shim beside this file.

    expect.py PLUGINS [PLUGIN/RECIPE ...]

PLUGINS is a folder with a folder for each plugin. Python environments are made once, below ``SHIM_VENVS`` (by default
a folder in the temporary directory) with ``SHIM_PYTHON`` (``python3.11``), from ``../public/environments``.
With ``--twice`` each recipe runs twice, and what isn't the same twice is named: it belongs to what is unstable.
"""

import filecmp
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PUBLIC = HERE.parent / "public"
LIMIT = 600


def venvs():
    """Where environments are."""
    return pathlib.Path(os.environ.get("SHIM_VENVS") or pathlib.Path(tempfile.gettempdir()) / "wharf-shim")


def interpreter(environment, plugin):
    """The Python of an environment; without one, of the plugin's own, which has pandas, too."""
    folder = venvs() / (environment or "of-" + plugin.name)
    python = folder / "bin/python"
    if not python.exists():
        print("making the environment", environment, flush=True)
        subprocess.run([os.environ.get("SHIM_PYTHON", "python3.11"), "-m", "venv", folder], check=True)
        if environment:
            wanted = ["-r", PUBLIC / "environments" / environment / "requirements.txt"]
        else:
            wanted = ["-r", plugin / "code-env/python/spec/requirements.txt", "pandas"]
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    return python


def r_library():
    """A library of R with the shim in it."""
    library = venvs() / "r-library"
    library.mkdir(parents=True, exist_ok=True)
    subprocess.run(["R", "CMD", "INSTALL", "--library=%s" % library, str(HERE / "r")], check=True, capture_output=True)
    return str(library)


def run(plugin, recipe, example, out):
    """Runs the recipe with its outputs in ``out``: the last line that it said when it failed, else None."""
    described = json.loads((example / "example.json").read_text())
    for paths in described.get("outputs", {}).values():
        for path in paths:
            place = out / path
            (place if path.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
    folder = plugin / "custom-recipes" / recipe
    code = next(path for path in sorted(folder.iterdir()) if path.name.lower() in ("recipe.py", "recipe.r"))
    env = dict(os.environ, SHIM_EXAMPLE=str(example), SHIM_OUT=str(out), SHIM_PLUGIN=str(plugin))
    env["DKU_CURRENT_PROJECT_KEY"] = described.get("project", "")
    env["DKU_CUSTOM_RESOURCE_FOLDER"] = str(plugin / "resource")
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    if code.suffix == ".py":
        env["PYTHONPATH"] = "%s:%s" % (HERE, plugin / "python-lib")
        command = [interpreter(described.get("environment"), plugin), code]
    else:
        env.update(R_LIBS=r_library(), LANG="C.UTF-8", TZ="UTC", DKUFLOW_VARIABLES="{}")
        command = ["Rscript", "--no-save", "--no-restore", code]
    with tempfile.TemporaryDirectory() as work:
        try:
            done = subprocess.run(
                command, cwd=work, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            return "it ran for more than %d seconds" % LIMIT
    if done.returncode == 0:
        return None
    said = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
    if "-v" in sys.argv:
        print("\n".join(said[-25:]))
    if said[-1:] == ["Execution halted"]:
        # R's own last word; what went wrong is above it.
        said = [line for line in said if line.startswith("Error")] or said
    return said[-1] if said else "exit code %d" % done.returncode


def count_only(folder):
    """Of a folder that is never the same twice, how many files there were."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    shutil.rmtree(folder)
    folder.mkdir()
    for at, _ in enumerate(files):
        (folder / ("file-%d" % at)).touch()


def differences(one, other):
    """Files that are in one of two folders only, or aren't equal."""
    names = {str(path.relative_to(base)) for base in (one, other) for path in base.rglob("*") if path.is_file()}
    same = filecmp.cmpfiles(one, other, sorted(names), shallow=False)[0]
    return sorted(names - set(same))


def main():
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    plugins, chosen = pathlib.Path(arguments[0]).resolve(), arguments[1:]
    counts = {"ran": 0, "failed": 0}
    for example in sorted(path.parent for path in PUBLIC.glob("*/*/example.json")):
        name = str(example.relative_to(PUBLIC))
        if chosen and not any(name.startswith(word) for word in chosen):
            continue
        plugin, recipe = plugins / example.parent.name, example.name.split("@")[0]
        expected = example / "expected"
        with tempfile.TemporaryDirectory() as folder:
            one, other = pathlib.Path(folder, "one"), pathlib.Path(folder, "other")
            one.mkdir()
            failure = run(plugin, recipe, example, one)
            shutil.rmtree(expected, ignore_errors=True)
            if failure is not None:
                expected.mkdir()
                (expected / "failure.txt").write_text(failure + "\n")
                print(name, "failed:", failure[:200], flush=True)
                counts["failed"] += 1
                continue
            shutil.copytree(one, expected)
            for path in json.loads((example / "example.json").read_text()).get("unstable", []):
                if (expected / path).is_dir():
                    count_only(expected / path)
            size = sum(path.stat().st_size for path in expected.rglob("*") if path.is_file())
            counts["ran"] += 1
            print(name, "ran, %d bytes" % size, flush=True)
            if "--twice" in sys.argv:
                other.mkdir()
                run(plugin, recipe, example, other)
                for different in differences(one, other):
                    print("   not the same twice:", different, flush=True)
    print("%(ran)d ran, %(failed)d failed" % counts)


main()
