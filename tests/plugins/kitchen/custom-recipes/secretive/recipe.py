import hashlib

from dataiku.customrecipe import get_recipe_config

config = get_recipe_config()
print("password", hashlib.sha256(config["password"].encode()).hexdigest())
if config.get("scale"):
    print("token", hashlib.sha256(config["scale"]["token"].encode()).hexdigest())
print("told", config["password"])
