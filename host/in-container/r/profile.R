# Read by R at its start (R_PROFILE_USER): makes `library(dataiku)` and `dataiku::` work without an installed package.

local({
  # Beside this file when it says where it is, else where images have it.
  folder <- dirname(Sys.getenv("R_PROFILE_USER", "/opt/wharf/r/profile.R"))
  space <- new.env(parent = .BaseNamespaceEnv)
  for (file in c("dataiku.R", "rows.R", "datasets.R", "folders.R", "elsewhere.R")) {
    sys.source(file.path(folder, file), envir = space, keep.source = FALSE)
  }
  exports <- ls(space, pattern = "^dku[A-Z]|[.]sampling$|^(read|write)[.]dataset")

  # What `dataiku::name`, `requireNamespace` and `loadNamespace` ask for.
  info <- new.env(parent = baseenv())
  info$spec <- c(name = "dataiku", version = "1.0.0")
  info$exports <- new.env(parent = baseenv())
  for (name in exports) assign(name, name, envir = info$exports)
  info$dynlibs <- NULL
  info$S3methods <- matrix(NA_character_, 0L, 4L)
  info$imports <- list(base = TRUE)
  info$path <- folder
  assign(".__NAMESPACE__.", info, envir = space)
  assign(".packageName", "dataiku", envir = space)
  # R has no public way to register a namespace that isn't installed. Without it only `dataiku::` is missing.
  tryCatch(.Internal(registerNamespace("dataiku", space)), error = function(e) NULL)

  # Some plugins look for these. An adapter may have set them already.
  if (nzchar(Sys.getenv("WHARF_RECIPE_RESOURCE")) && !nzchar(Sys.getenv("DKU_CUSTOM_RESOURCE_FOLDER"))) {
    Sys.setenv(DKU_CUSTOM_RESOURCE_FOLDER = Sys.getenv("WHARF_RECIPE_RESOURCE"))
  }

  if (nzchar(Sys.getenv("WHARF_SOCKET")) && !nzchar(Sys.getenv("DKUFLOW_VARIABLES"))) {
    tryCatch(Sys.setenv(DKUFLOW_VARIABLES = space$.wharf_variables_json()), error = function(e) NULL)
  }

  # `library` and `require` take a package that is attached already as it is.
  attached <- attach(NULL, name = "package:dataiku")
  for (name in c(exports, ".Last")) assign(name, get(name, envir = space), envir = attached)
})
