# The functions of DSS that R recipes call, for a recipe that wharf runs.
#
# Everything here asks the runner of this run, through its program: `wharf-runner call METHOD PATH`. Needs R itself and
# jsonlite. `profile.R` loads this file and makes `library(dataiku)` work.

.wharf <- new.env(parent = emptyenv())
.wharf$contexts <- list()
.wharf$copies <- list()
.wharf$types <- c("string", "tinyint", "smallint", "int", "bigint", "float", "double", "boolean", "date", "array",
                  "map", "object", "geopoint", "geometry")
.wharf$rows <- 10000L

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

.wharf_json <- function(bytes) {
  .wharf_need_jsonlite()
  text <- .wharf_text(bytes)
  if (!nzchar(trimws(text))) NULL else jsonlite::fromJSON(text, simplifyVector = FALSE)
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
dkuCustomRecipeConfig <- function() .wharf_context()$parameters

# Settings of the plugin, from WHARF_PLUGIN_CONFIG (JSON), which the recipe's adapter sets.
dkuPluginConfig <- function() {
  text <- Sys.getenv("WHARF_PLUGIN_CONFIG")
  if (nzchar(text)) .wharf_json(.wharf_bytes(text)) else list()
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

# The same as dkuCustomVariable: flow variables are the project's variables here.
dkuFlowVariable <- function(name) dkuCustomVariable(name)

# --- Datasets

.wharf_schema <- function(name) {
  columns <- .wharf_json(.wharf_call("GET", .wharf_path("datasets", name, "schema")))$columns
  data.frame(name = vapply(columns, function(c) c$name, ""), type = vapply(columns, function(c) c$type, ""),
             stringsAsFactors = FALSE)
}

# Columns of a dataset: a data frame with `name` and `type`.
dkuReadSchema <- function(name) .wharf_schema(.wharf_resolve(name, "dataset"))

# Reads a dataset into a data frame.
#
# samplingMethod: "full", "head" (the first nbRows), "fixed" (nbRows at random) or "ratio" (each with that
#   probability). With "full", nbRows changes nothing.
# columns: names of the columns to read, in that order.
# colClasses: classes of R for the columns, in order or by name. Without them R finds the classes itself, and columns
#   of type `date` are POSIXct in UTC.
# inferColClassesFromData: FALSE takes the classes from the schema; a `bigint` is then numeric, which holds 15 digits:
#   give "character" in colClasses for longer ones.
# convertEmptyStrings: whether empty texts are NA. With FALSE, nulls in columns of texts are "" too.
dkuReadDataset <- function(name, partitions = NULL, samplingMethod = c("full", "fixed", "head", "ratio"),
                           columns = NULL, nbRows = NULL, ratio = NULL, convertEmptyStrings = TRUE, colClasses = NA,
                           inferColClassesFromData = TRUE, na.strings = "NA", ...) {
  .wharf_no_partition(partitions)
  samplingMethod <- match.arg(samplingMethod)
  name <- .wharf_resolve(name, "dataset")
  schema <- .wharf_schema(name)
  path <- paste0(.wharf_path("datasets", name, "data"), "?format=csv")
  if (!is.null(columns)) {
    unknown <- setdiff(columns, schema$name)
    if (length(unknown)) {
      .wharf_fail("the dataset ", name, " has no column '", unknown[1], "'; it has: ", .wharf_list(schema$name))
    }
    schema <- schema[match(columns, schema$name), , drop = FALSE]
    path <- paste0(path, "&columns=", paste(vapply(columns, .wharf_encode, ""), collapse = ","))
  }
  if (samplingMethod == "head") {
    if (is.null(nbRows)) .wharf_fail("the sampling 'head' needs nbRows")
    path <- paste0(path, "&limit=", format(nbRows, scientific = FALSE))
  }
  if (samplingMethod == "fixed" && is.null(nbRows)) .wharf_fail("the sampling 'fixed' needs nbRows")
  if (samplingMethod == "ratio" && is.null(ratio)) .wharf_fail("the sampling 'ratio' needs ratio")
  if (!nrow(schema)) return(data.frame())

  given <- !(length(colClasses) == 1L && is.na(colClasses))
  classes <- .wharf_classes(schema, colClasses, given, inferColClassesFromData)
  errors <- tempfile("call-")
  connection <- pipe(.wharf_command("GET", path, errors), "rt")
  frame <- tryCatch(
    utils::read.csv(connection, header = TRUE, colClasses = classes, check.names = FALSE, encoding = "UTF-8",
                    na.strings = c(na.strings, if (convertEmptyStrings) ""), stringsAsFactors = FALSE,
                    quote = "\"", comment.char = "", row.names = NULL, blank.lines.skip = nrow(schema) > 1L,
                    col.names = paste0("V", seq_len(nrow(schema)))),
    error = identity
  )
  # read.csv leaves a connection open that was open before.
  .wharf_check(close(connection), errors, paste("reading", name))
  if (inherits(frame, "error")) .wharf_fail("the dataset ", name, " can't be read: ", conditionMessage(frame))
  names(frame) <- schema$name
  if (!given) {
    for (at in which(schema$type == "date")) frame[[at]] <- .wharf_dates(frame[[at]])
    for (at in which(schema$type == "boolean")) frame[[at]] <- .wharf_logical(frame[[at]])
  }
  if (samplingMethod == "fixed" && nrow(frame) > nbRows) {
    frame <- frame[sort(sample.int(nrow(frame), nbRows)), , drop = FALSE]
  }
  if (samplingMethod == "ratio") frame <- frame[stats::runif(nrow(frame)) < ratio, , drop = FALSE]
  rownames(frame) <- NULL
  frame
}

.wharf_classes <- function(schema, given_classes, given, infer) {
  if (given && is.null(names(given_classes))) return(rep_len(given_classes, nrow(schema)))
  by_type <- c(tinyint = "integer", smallint = "integer", int = "integer", bigint = "numeric", float = "numeric",
               double = "numeric", boolean = "logical")
  classes <- if (infer) ifelse(schema$type == "date", "character", NA_character_) else unname(by_type[schema$type])
  if (!infer) classes[is.na(classes)] <- "character"
  if (given) {
    at <- match(names(given_classes), schema$name)
    classes[at[!is.na(at)]] <- given_classes[!is.na(at)]
  }
  classes
}

# R itself finds only TRUE and FALSE in texts.
.wharf_logical <- function(column) {
  if (is.character(column) && all(is.na(column) | tolower(column) %in% c("true", "false"))) {
    return(tolower(column) == "true")
  }
  column
}

.wharf_dates <- function(text) {
  text <- sub("[Zz]$", "", sub("T", " ", text, fixed = TRUE))
  # An offset is taken off the instant that its text says.
  offset <- rep(0, length(text))
  shifted <- grepl("[0-9][+-][0-9]{2}:?[0-9]{2}$", text) & nchar(text) > 16L
  if (any(shifted)) {
    zone <- sub(":", "", sub("^.*([+-][0-9]{2}:?[0-9]{2})$", "\\1", text[shifted]), fixed = TRUE)
    sign <- ifelse(startsWith(zone, "-"), -1, 1)
    offset[shifted] <- sign * (as.numeric(substr(zone, 2, 3)) * 3600 + as.numeric(substr(zone, 4, 5)) * 60)
    text[shifted] <- sub("[+-][0-9]{2}:?[0-9]{2}$", "", text[shifted])
  }
  dates <- as.POSIXct(strptime(text, "%Y-%m-%d %H:%M:%OS", tz = "UTC"))
  short <- is.na(dates) & !is.na(text)
  if (any(short)) dates[short] <- as.POSIXct(strptime(text[short], "%Y-%m-%d", tz = "UTC"))
  dates - offset
}

# Writes a data frame. Row names aren't written; NA is null, and an empty text stays an empty text.
#
# schema: whether the columns of the data frame become the dataset's schema. With FALSE the dataset's own stays, and
#   the data frame must have its columns.
# convertLists: whether columns that are lists are written as JSON.
dkuWriteDataset <- function(df, name, partition = "", schema = TRUE, convertLists = TRUE, ...) {
  .wharf_no_partition(partition)
  if (!is.data.frame(df)) .wharf_fail("dkuWriteDataset needs a data frame, not ", class(df)[1])
  df <- as.data.frame(df, stringsAsFactors = FALSE)
  name <- .wharf_resolve_output(name, "dataset")
  if (schema) {
    columns <- data.frame(name = names(df), type = vapply(df, .wharf_type, ""), stringsAsFactors = FALSE)
  } else {
    columns <- .wharf_schema(name)
    if (!setequal(columns$name, names(df)) || nrow(columns) != ncol(df)) {
      .wharf_fail("the data frame doesn't have the columns of the schema of ", name, ": ", .wharf_list(columns$name))
    }
    df <- df[match(columns$name, names(df))]
  }
  dkuWriteDatasetSchema(name, columns)
  # All is text before the first line is sent, so that a value that can't be written leaves nothing half written.
  texts <- lapply(seq_along(df), function(at) {
    .wharf_quote(.wharf_column_text(df[[at]], columns$type[at], convertLists))
  })
  errors <- tempfile("call-")
  path <- paste0(.wharf_path("datasets", name, "data"), "?format=csv")
  connection <- pipe(paste(.wharf_command("PUT", path, errors, TRUE), ">/dev/null"), "wb")
  failed <- tryCatch({
    writeLines(paste(.wharf_quote(enc2utf8(columns$name)), collapse = ","), connection, useBytes = TRUE)
    for (before in seq(0L, max(nrow(df) - 1L, 0L), by = .wharf$rows)) {
      at <- before + seq_len(min(.wharf$rows, nrow(df) - before))
      lines <- do.call(paste, c(lapply(texts, function(text) text[at]), sep = ","))
      writeLines(lines, connection, useBytes = TRUE)
    }
    NULL
  }, error = identity)
  .wharf_check(close(connection), errors, paste("writing", name))
  if (!is.null(failed)) .wharf_fail("the dataset ", name, " can't be written: ", conditionMessage(failed))
  invisible(NULL)
}

# Sets the columns of an output: a data frame with `name` and `type`.
dkuWriteDatasetSchema <- function(name, columns) {
  name <- .wharf_resolve_output(name, "dataset")
  unknown <- setdiff(columns$type, .wharf$types)
  if (length(unknown)) {
    .wharf_fail("the type '", unknown[1], "' doesn't exist; there are: ", .wharf_list(.wharf$types))
  }
  .wharf_need_jsonlite()
  list <- lapply(seq_len(nrow(columns)), function(at) list(name = columns$name[at], type = columns$type[at]))
  json <- jsonlite::toJSON(list(columns = list), auto_unbox = TRUE)
  .wharf_call("PUT", .wharf_path("datasets", name, "schema"), .wharf_bytes(json))
  invisible(NULL)
}

.wharf_type <- function(column) {
  if (inherits(column, c("POSIXt", "Date"))) return("date")
  if (inherits(column, "integer64")) return("bigint")
  if (is.factor(column)) return("string")
  switch(typeof(column), logical = "boolean", integer = "int", double = "double", "string")
}

.wharf_column_text <- function(column, type, convert_lists) {
  missing <- if (is.list(column) && !inherits(column, "POSIXlt")) vapply(column, is.null, NA) else is.na(column)
  text <- if (inherits(column, "Date")) {
    paste0(format(column, "%Y-%m-%d"), "T00:00:00.000Z")
  } else if (inherits(column, "POSIXt")) {
    .wharf_instant(column)
  } else if (is.factor(column)) {
    as.character(column)
  } else if (is.list(column)) {
    if (!convert_lists) .wharf_fail("a column is a list: use convertLists = TRUE to write it as JSON")
    vapply(column, function(value) as.character(jsonlite::toJSON(value, auto_unbox = TRUE)), "")
  } else if (is.logical(column)) {
    tolower(as.character(column))
  } else if (is.double(column) && !inherits(column, "integer64")) {
    # The fewest digits that give the number back.
    short <- vapply(column, function(value) format(value, digits = 15L), "")
    inexact <- is.finite(column) & suppressWarnings(as.numeric(short)) != column
    short[inexact] <- sprintf("%.17g", column[inexact])
    whole <- type %in% c("tinyint", "smallint", "int", "bigint") & is.finite(column)
    short[whole] <- format(column[whole], scientific = FALSE, digits = 15L, trim = TRUE)
    short
  } else {
    as.character(column)
  }
  text[missing] <- NA_character_
  enc2utf8(text)
}

.wharf_instant <- function(column) {
  seconds <- as.numeric(as.POSIXct(column))
  # Whole milliseconds first: formatting fractions of seconds cuts them off instead of rounding.
  millis <- round(seconds * 1000)
  whole <- floor(millis / 1000)
  text <- format(as.POSIXct(whole, origin = "1970-01-01", tz = "UTC"), "%Y-%m-%dT%H:%M:%S", tz = "UTC")
  sprintf("%s.%03dZ", text, as.integer(ifelse(is.na(whole), 0, millis - whole * 1000)))
}

.wharf_quote <- function(text) {
  special <- !is.na(text) & grepl("[\",\r\n]", text, useBytes = TRUE)
  text[special] <- paste0("\"", gsub("\"", "\"\"", text[special], fixed = TRUE), "\"")
  empty <- !is.na(text) & !nzchar(text)
  text[empty] <- "\"\""
  text[is.na(text)] <- ""
  text
}

# --- Managed folders

.wharf_elements <- function(path) {
  elements <- strsplit(path, "/", fixed = TRUE)[[1]]
  elements <- elements[nzchar(elements)]
  if (any(elements %in% c(".", ".."))) .wharf_fail("'", path, "' isn't a path in a managed folder")
  elements
}

.wharf_file <- function(folder, path) do.call(.wharf_path, as.list(c("folders", folder, "files", .wharf_elements(path))))

.wharf_files <- function(folder) {
  .wharf_flush(folder)
  .wharf_json(.wharf_call("GET", .wharf_path("folders", folder, "files")))
}

# Downloads straight to a file, whatever its size.
.wharf_fetch <- function(folder, path, file) {
  errors <- tempfile("call-")
  status <- system(paste(.wharf_command("GET", .wharf_file(folder, path), errors), ">", shQuote(file)))
  .wharf_check(status, errors, paste("downloading", path))
}

# A directory with a copy of the whole folder, made at the first call.
#
# In an output, what is added, changed or removed there is sent back by the other functions for folders and when the
# recipe has ended well. In an input, changes go nowhere.
dkuManagedFolderPath <- function(name) {
  name <- .wharf_resolve(name, "folder")
  if (!is.null(.wharf$copies[[name]])) return(.wharf$copies[[name]]$path)
  directory <- tempfile("folder-")
  dir.create(directory)
  for (info in .wharf_files(name)) {
    file <- file.path(directory, paste(.wharf_elements(info$path), collapse = "/"))
    dir.create(dirname(file), recursive = TRUE, showWarnings = FALSE)
    .wharf_fetch(name, info$path, file)
    Sys.setFileTime(file, as.POSIXct(info$modified / 1000, origin = "1970-01-01"))
  }
  .wharf$copies[[name]] <- list(path = directory, known = .wharf_stamps(directory))
  directory
}

.wharf_stamps <- function(directory) {
  files <- list.files(directory, recursive = TRUE, all.files = TRUE, no.. = TRUE)
  info <- file.info(file.path(directory, files), extra_cols = FALSE)
  stats::setNames(paste(info$size, format(as.numeric(info$mtime), digits = 17)), files)
}

# Sends what changed in the copy of an output.
.wharf_flush <- function(folder) {
  copy <- .wharf$copies[[folder]]
  if (is.null(copy) || !folder %in% .wharf_names("outputs", "folder")) return(invisible(NULL))
  now <- .wharf_stamps(copy$path)
  for (path in names(now)) {
    if (!identical(unname(copy$known[path]), unname(now[path]))) {
      .wharf_call("PUT", .wharf_file(folder, path), file.path(copy$path, path))
    }
  }
  for (path in setdiff(names(copy$known), names(now))) .wharf_call("DELETE", .wharf_file(folder, path))
  .wharf$copies[[folder]]$known <- now
  invisible(NULL)
}

# R calls this at the end of a recipe that didn't fail. An error here makes R fail.
.Last <- function() {
  for (folder in names(.wharf$copies)) .wharf_flush(folder)
}

# Paths of all files of a folder, each with a slash in front.
dkuManagedFolderPartitionPaths <- function(name, partition = NULL) {
  .wharf_no_partition(partition)
  name <- .wharf_resolve(name, "folder")
  sort(vapply(.wharf_files(name), function(info) paste0("/", info$path), ""))
}

# The same as dkuManagedFolderPartitionPaths.
dkuManagedFolderPathList <- function(name, partition = NULL) dkuManagedFolderPartitionPaths(name, partition)

# What is at a path: whether it exists, whether it is a directory, its size, its time.
dkuManagedFolderPathDetails <- function(folder_id, path) {
  name <- .wharf_resolve(folder_id, "folder")
  elements <- .wharf_elements(path)
  whole <- paste(elements, collapse = "/")
  files <- .wharf_files(name)
  paths <- vapply(files, function(info) info$path, "")
  exact <- which(paths == whole)
  below <- which(if (nzchar(whole)) startsWith(paths, paste0(whole, "/")) else rep(TRUE, length(paths)))
  list(
    exists = length(exact) > 0L || length(below) > 0L || !nzchar(whole),
    directory = !length(exact) && (length(below) > 0L || !nzchar(whole)),
    fullPath = paste0("/", whole),
    name = if (length(elements)) elements[length(elements)] else "/",
    pathElts = elements,
    size = sum(vapply(files[c(exact, below)], function(info) as.numeric(info$size), 0)),
    lastModified = max(0, vapply(files[c(exact, below)], function(info) as.numeric(info$modified), 0))
  )
}

# What the run knows of a folder.
dkuManagedFolderInfo <- function(name, ...) {
  name <- .wharf_resolve(name, "folder")
  list(id = name, projectKey = .wharf_project(), name = name, type = "container")
}

# The contents of a file: "raw" (the default), "text" (one text, UTF-8) or "parsed" (JSON as a list).
dkuManagedFolderDownloadPath <- function(name, path, as = NULL) {
  name <- .wharf_resolve(name, "folder")
  .wharf_flush(name)
  bytes <- .wharf_call("GET", .wharf_file(name, path))
  switch(match.arg(as, c("raw", "text", "parsed")),
         raw = bytes, text = .wharf_text(bytes), parsed = .wharf_json(bytes))
}

# Writes a file from a raw vector, from texts (a line each; a single one as it is) or from a connection.
dkuManagedFolderUploadPath <- function(name, path, data) {
  name <- .wharf_resolve_output(name, "folder")
  if (inherits(data, "connection")) {
    if (!isOpen(data)) {
      open(data, "rb")
      on.exit(close(data), add = TRUE)
    }
    file <- tempfile("body-")
    on.exit(unlink(file), add = TRUE)
    out <- file(file, "wb")
    repeat {
      piece <- readBin(data, "raw", 1048576L)
      if (!length(piece)) break
      writeBin(piece, out)
    }
    close(out)
    data <- file
  } else if (is.character(data)) {
    data <- .wharf_bytes(if (length(data) == 1L) data else paste0(data, "\n", collapse = ""))
  } else if (!is.raw(data)) {
    .wharf_fail("dkuManagedFolderUploadPath takes a raw vector, texts or a connection, not ", class(data)[1])
  }
  .wharf_flush(name)
  .wharf_call("PUT", .wharf_file(name, path), data)
  invisible(NULL)
}

# Copies a file of this container into a folder.
dkuManagedFolderCopyFromLocal <- function(source_base, folder_id, sources = list.files(source_base, recursive = TRUE)) {
  name <- .wharf_resolve_output(folder_id, "folder")
  for (path in sources) .wharf_call("PUT", .wharf_file(name, path), file.path(source_base, path))
  invisible(NULL)
}

# Removes a file, or everything in a directory.
dkuManagedFolderDeletePath <- function(name, path) {
  name <- .wharf_resolve_output(name, "folder")
  whole <- paste(.wharf_elements(path), collapse = "/")
  paths <- vapply(.wharf_files(name), function(info) info$path, "")
  found <- paths[paths == whole | startsWith(paths, paste0(whole, "/")) | !nzchar(whole)]
  # A path that isn't there is for the host to say.
  for (each in if (length(found)) found else path) .wharf_call("DELETE", .wharf_file(name, each))
  copy <- .wharf$copies[[name]]
  if (!is.null(copy)) {
    unlink(file.path(copy$path, found))
    .wharf$copies[[name]]$known <- .wharf_stamps(copy$path)
  }
  invisible(NULL)
}

# The same as dkuManagedFolderDeletePath.
dkuManagedFolderClearPath <- function(name, path) dkuManagedFolderDeletePath(name, path)

# Removes all files.
dkuManagedFolderClear <- function(name) {
  name <- .wharf_resolve_output(name, "folder")
  if (length(.wharf_files(name))) dkuManagedFolderDeletePath(name, "/")
  invisible(NULL)
}

# --- What a container doesn't have

.wharf_not_here <- function(name, why) {
  force(name)
  force(why)
  function(...) .wharf_fail(name, " isn't available here: ", why)
}

dkuListDatasets <- function(...) .wharf_names("inputs", "dataset")
dkuGetConnectionInfo <- .wharf_not_here("dkuGetConnectionInfo", "a container has no access to connections")
dkuSQLQueryToData <- .wharf_not_here("dkuSQLQueryToData", "a container has no access to SQL connections")
dkuGetAuthInfo <- .wharf_not_here("dkuGetAuthInfo", "a container has no connection to DSS")
