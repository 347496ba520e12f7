# The functions of DSS that R recipes call, for a recipe that wharf runs.
#
# Everything here asks the runner of this run, through its program: `wharf-runner call METHOD PATH`. Needs R itself and
# jsonlite. `profile.R` loads the files of this folder and makes `library(dataiku)` work.

.wharf <- new.env(parent = emptyenv())
.wharf$contexts <- list()
.wharf$copies <- list()
.wharf$types <- c("string", "tinyint", "smallint", "int", "bigint", "float", "double", "boolean", "date", "array",
                  "map", "object", "geopoint", "geometry")
.wharf$writers <- list()

# --- The runner

.wharf_program <- function() Sys.getenv("WHARF_RUNNER", "/opt/wharf/bin/wharf-runner")

.wharf_fail <- function(...) stop(paste0(...), call. = FALSE)

.wharf_command <- function(method, path, errors, body = FALSE) {
  paste(shQuote(.wharf_program()), "call", method, shQuote(path), if (body) "--body-stdin", "2>", shQuote(errors))
}

# Stops with the sentence that the runner printed, if the program failed.
.wharf_check <- function(status, errors, what) {
  # Before all else: this waits for the program's end, and only then is its sentence whole.
  force(status)
  said <- if (file.exists(errors)) readLines(errors, warn = FALSE, encoding = "UTF-8") else character()
  unlink(errors)
  if (!is.null(status) && !identical(as.integer(status), 0L)) {
    said <- said[nzchar(said)]
    if (!length(said)) said <- paste(what, "failed with status", .wharf_exit(status))
    .wharf_fail(paste(said, collapse = " "))
  }
}

# `close` of a pipe gives the status as the system does, with the exit code in its second byte; `system` the code.
.wharf_exit <- function(status) if (status > 255L) status %/% 256L else status

# The answer as raw bytes. A body is a raw vector or a file's name.
.wharf_call <- function(method, path, body = NULL) {
  errors <- tempfile("call-")
  command <- .wharf_command(method, path, errors, !is.null(body))
  if (!is.null(body)) {
    file <- body
    if (is.raw(body)) {
      file <- tempfile("body-")
      on.exit(unlink(file), add = TRUE)
      writeBin(body, file)
    }
    command <- paste(command, "<", shQuote(file))
  }
  connection <- pipe(command, "rb")
  pieces <- list()
  repeat {
    piece <- readBin(connection, "raw", 1048576L)
    if (!length(piece)) break
    pieces[[length(pieces) + 1L]] <- piece
  }
  .wharf_check(close(connection), errors, paste(method, path))
  if (length(pieces)) do.call(c, pieces) else raw()
}

.wharf_text <- function(bytes) {
  text <- rawToChar(bytes)
  Encoding(text) <- "UTF-8"
  text
}

.wharf_bytes <- function(text) charToRaw(enc2utf8(text))

.wharf_need_jsonlite <- function() {
  if (!requireNamespace("jsonlite", quietly = TRUE)) {
    .wharf_fail("the dataiku functions need the R package jsonlite, and this image has none: ",
                "add it to the code environment, or r-cran-jsonlite to the base image")
  }
}

# With `simplify`, arrays of texts, of numbers and of logical values are vectors, as recipes expect of parameters.
.wharf_json <- function(bytes, simplify = FALSE) {
  .wharf_need_jsonlite()
  text <- .wharf_text(bytes)
  if (!nzchar(trimws(text))) return(NULL)
  jsonlite::fromJSON(text, simplifyVector = simplify, simplifyDataFrame = FALSE, simplifyMatrix = FALSE)
}

# The value of a variable of the environment that holds JSON; NULL when it isn't set.
.wharf_json_variable <- function(variable, simplify = FALSE) {
  text <- Sys.getenv(variable)
  if (!nzchar(text)) return(NULL)
  tryCatch(.wharf_json(.wharf_bytes(text), simplify), error = function(e) {
    # Without the text: it may hold what nobody is to read.
    .wharf_fail("the variable ", variable, " isn't valid JSON")
  })
}

# Each element percent-encoded, byte by byte, whatever the locale.
.wharf_encode <- function(element) {
  bytes <- .wharf_bytes(element)
  plain <- bytes %in% charToRaw("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
  text <- character(length(bytes))
  text[plain] <- strsplit(rawToChar(bytes[plain]), "")[[1]]
  text[!plain] <- paste0("%", toupper(as.character(bytes[!plain])))
  paste(text, collapse = "")
}

.wharf_path <- function(...) paste0("/v1/", paste(vapply(c(...), .wharf_encode, ""), collapse = "/"))

# --- The run

.wharf_context <- function() {
  socket <- Sys.getenv("WHARF_SOCKET")
  if (!nzchar(socket)) {
    .wharf_fail("this code doesn't run in a run of wharf (WHARF_SOCKET isn't set), so it has no inputs and outputs")
  }
  if (is.null(.wharf$contexts[[socket]])) {
    .wharf$contexts[[socket]] <- .wharf_json(.wharf_call("GET", "/v1/context"))
  }
  .wharf$contexts[[socket]]
}

.wharf_project <- function() {
  project <- .wharf_context()$project
  if (is.null(project) || !nzchar(project)) Sys.getenv("DKU_CURRENT_PROJECT_KEY") else project
}

.wharf_names <- function(side, kind = NULL, role = NULL) {
  bindings <- .wharf_context()[[side]]
  keep <- vapply(bindings, function(b) (is.null(kind) || b$kind == kind) && (is.null(role) || b$role == role), NA)
  vapply(bindings[keep], function(b) b$name, "")
}

.wharf_full_names <- function(names) {
  project <- .wharf_project()
  if (nzchar(project) && length(names)) paste0(project, ".", names) else names
}

.wharf_list <- function(names) if (length(names)) paste(names, collapse = ", ") else "none"

# The name as the run spells it, from one with or without the project's key.
.wharf_resolve <- function(name, kind) {
  inputs <- .wharf_names("inputs", kind)
  outputs <- .wharf_names("outputs", kind)
  known <- c(inputs, outputs)
  if (name %in% known) return(name)
  prefix <- paste0(.wharf_project(), ".")
  if (startsWith(name, prefix) && substring(name, nchar(prefix) + 1L) %in% known) {
    return(substring(name, nchar(prefix) + 1L))
  }
  .wharf_fail("there is no ", kind, " '", name, "' in this run: its ", kind, " inputs are: ", .wharf_list(inputs),
              "; its ", kind, " outputs are: ", .wharf_list(outputs))
}

.wharf_resolve_output <- function(name, kind) {
  name <- .wharf_resolve(name, kind)
  outputs <- .wharf_names("outputs", kind)
  if (!name %in% outputs) {
    .wharf_fail("'", name, "' is an input of this run and can't be written; its ", kind, " outputs: ",
                .wharf_list(outputs))
  }
  name
}

.wharf_no_partition <- function(partition) {
  if (!is.null(partition) && length(partition) && any(!partition %in% c("", "NP"))) {
    .wharf_fail("there are no partitions here: a run reads and writes whole datasets and folders")
  }
}

# Parameters of a plugin's recipe, as a list.
#
# Those that are secrets come as variables of the environment, which WHARF_SECRET_PARAMETERS names.
dkuCustomRecipeConfig <- function() {
  bytes <- .wharf_call("GET", "/v1/context")
  values <- .wharf_json(bytes, simplify = TRUE)$parameters
  if (is.null(values)) values <- list()
  .wharf_put_secrets(values, "WHARF_SECRET_PARAMETERS")
}

# Puts secrets in their places. The variable holds a JSON object from JSON pointers (RFC 6901), such as /preset/password, to
# the names of the variables that have the values.
.wharf_put_secrets <- function(values, variable) {
  secrets <- .wharf_json_variable(variable)
  for (pointer in names(secrets)) {
    value <- Sys.getenv(secrets[[pointer]], NA)
    if (is.na(value)) {
      .wharf_fail("the parameter ", pointer, " of this recipe is a secret, and its variable ", secrets[[pointer]],
                  " isn't set")
    }
    keys <- strsplit(sub("^/", "", pointer), "/", fixed = TRUE)[[1]]
    keys <- gsub("~0", "~", gsub("~1", "/", keys, fixed = TRUE), fixed = TRUE)
    values <- .wharf_put(values, keys, value)
  }
  values
}

.wharf_put <- function(values, keys, value) {
  number <- if (is.null(names(values)) || is.data.frame(values)) suppressWarnings(as.integer(keys[[1]])) else NA
  if (is.data.frame(values)) {
    # What was a list of objects.
    values[number + 1L, keys[[2]]] <- value
    return(values)
  }
  at <- if (is.na(number)) keys[[1]] else number + 1L
  values[[at]] <- if (length(keys) == 1L) value else .wharf_put(values[[at]], keys[-1L], value)
  values
}

# Settings of the plugin, from WHARF_PLUGIN_CONFIG (JSON), which the recipe's adapter sets.
dkuPluginConfig <- function() {
  values <- .wharf_json_variable("WHARF_PLUGIN_CONFIG", simplify = TRUE)
  .wharf_put_secrets(if (is.null(values)) list() else values, "WHARF_SECRET_PLUGIN_CONFIG")
}

# Names of what the recipe reads in a role, with the project's key in front when there is a project.
dkuCustomRecipeInputNamesForRole <- function(role) .wharf_full_names(.wharf_names("inputs", role = role))

# Names of what the recipe writes in a role.
dkuCustomRecipeOutputNamesForRole <- function(role) .wharf_full_names(.wharf_names("outputs", role = role))

# Folder of the plugin's resources, from WHARF_RECIPE_RESOURCE, which the recipe's adapter sets.
dkuCustomRecipeResource <- function() {
  path <- Sys.getenv("WHARF_RECIPE_RESOURCE")
  if (!nzchar(path)) .wharf_fail("this recipe has no resource folder: it doesn't come from a plugin that has one")
  path
}

# Value of a variable of the project, as text.
dkuCustomVariable <- function(name) {
  value <- .wharf_context()$variables[[name]]
  if (is.null(value)) {
    .wharf_fail("there is no variable '", name, "' in this run; there are: ",
                .wharf_list(names(.wharf_context()$variables)))
  }
  value
}

# All variables, as the variable DKUFLOW_VARIABLES of the environment has them.
.wharf_variables_json <- function() {
  variables <- .wharf_context()$variables
  if (!length(variables)) "{}" else as.character(jsonlite::toJSON(variables, auto_unbox = TRUE))
}

# The same as dkuCustomVariable: flow variables are the project's variables here.
dkuFlowVariable <- function(name) dkuCustomVariable(name)

# The name with the project's key in front, and the name without it. Not exported, but called by some plugins.
dku__resolve_smart_name <- function(name) {
  prefix <- paste0(.wharf_project(), ".")
  if (startsWith(name, prefix)) name else .wharf_full_names(name)
}
dku__ref_to_name <- function(ref) {
  prefix <- paste0(.wharf_project(), ".")
  if (startsWith(ref, prefix)) substring(ref, nchar(prefix) + 1L) else ref
}
