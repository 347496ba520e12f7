from dataiku.folder import Folder  # noqa: F401
